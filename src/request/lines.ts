/** A field line (RFC 9112 §5) as the text of a pattern: no folded lines; visible characters, space, tab and obs-text. */
export const FIELD_LINE = String.raw`[!#$%&'*+\-.^_\x60|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*`

const SPACE = 0x20
const TAB = 0x09

/** RFC 9112 §5.1: a field's value without the optional white space around it. */
export function trimmed(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB
}

/**
 * The same characters, of one byte each, in memory of their own: for what is to be remembered. A piece that was cut out of a
 * head keeps all of the head in memory, with whatever secret stands in it.
 */
export function detached(piece: string): string {
  return Buffer.from(piece, 'latin1').toString('latin1')
}

/** `head` with one more line. As pieces one behind the other: a line made first would be taken apart again to be written. */
export function withField(head: string, name: string, value: string): string {
  return head + name + ': ' + value + '\r\n'
}

// Control characters, a line end by halves, and what would be another character in one byte (U+010A a line feed).
const UNSOUND = /[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n)|(?<!\r)\n/

/**
 * Whether a head, of a request or of an answer, is read as the lines it was made of: the attack is a header, or a second
 * message, in the value of another (CWE-93, CWE-113, CWE-444).
 */
export function isSound(head: string, lines: number): boolean {
  if (UNSOUND.test(head)) return false
  let found = 0
  for (let at = head.indexOf('\n'); at !== -1; at = head.indexOf('\n', at + 1)) found++
  return found === lines
}
