import { parseArgs } from 'node:util'
import type { ParseArgsOptionsConfig } from 'node:util'
import { PosternError } from '../errors.ts'

interface Grammar<T extends ParseArgsOptionsConfig> {
  readonly args: string[]
  readonly options: T
  readonly allowPositionals: true
}

type Values<T extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<Grammar<T>>>['values']

/**
 * A command's options and its operands, each of which it must have, in order.
 * @param operands their names, as the usage writes them
 * @throws PosternError `usage`
 */
export function parseCommand<T extends ParseArgsOptionsConfig>(
  args: readonly string[],
  operands: readonly string[],
  options: T,
): { readonly values: Values<T>; readonly operands: readonly string[] } {
  const { values, positionals } = parsed(args, options)
  const missing = operands[positionals.length]
  if (missing !== undefined) throw new PosternError('usage', `${missing} is missing.`)
  const surplus = positionals[operands.length]
  if (surplus !== undefined) throw new PosternError('usage', `'${surplus}' is not expected here.`)
  return { values, operands: positionals }
}

function parsed<T extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: T,
): ReturnType<typeof parseArgs<Grammar<T>>> {
  try {
    return parseArgs<Grammar<T>>({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    // Its advice on operands that begin with a dash follows after the first sentence.
    const [sentence = ''] = String(error instanceof Error ? error.message : error).split('. ')
    throw new PosternError('usage', sentence.replace(/[^.]$/, '$&.'), { cause: error })
  }
}

/**
 * The command of this name, for a first word that selects one.
 * @throws PosternError `usage`
 */
export function chosen<T>(commands: ReadonlyMap<string, T>, family: string, word: string | undefined): T {
  const command = word === undefined ? undefined : commands.get(word)
  if (command !== undefined) return command
  const names = [...commands.keys()].join(', ')
  throw new PosternError('usage', `postern ${family} is followed by one of: ${names}.`)
}

/** `a,b` or `a b`, as scopes are written. */
export function listed(text: string): string[] {
  return text.split(/[\s,]+/).filter((item) => item !== '')
}
