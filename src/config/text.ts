import type { SchemaNode } from './tree.ts'

const YES = /^(?:1|true|yes|on)$/i
const NO = /^(?:0|false|no|off)$/i

/**
 * The text of an environment variable or an option as the value that YAML would have held: lists with commas
 * (or as JSON), objects as JSON. What does not fit stays text, for validation to name.
 */
export function fromText(node: SchemaNode, text: string): unknown {
  switch (node.type) {
    case 'string':
      return text
    case 'integer':
      return /^-?\d+$/.test(text) ? Number(text) : text
    case 'boolean':
      return YES.test(text) ? true : NO.test(text) ? false : text
    case 'array':
      return node.items?.type === 'string' && !text.startsWith('[') ? listed(text) : fromJson(text)
    case 'object':
      return fromJson(text)
  }
}

/** A yes-or-no variable as RomM reads its own: anything but these words is no (RomM fact: utils/database.py). */
export function isYes(text: string): boolean {
  return YES.test(text.trim())
}

function listed(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
