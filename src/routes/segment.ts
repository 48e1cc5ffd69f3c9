/**
 * One segment of a path template, as a pattern over a canonical path segment. Compared as text: a regular
 * expression made from somebody's document could be slow, or mean something else than they wrote.
 */

/** The literals around the parameters of a segment: `{a}-{b}.json` is `['', '-', '.json']`, `{id}` is `['', '']`. */
export type Piece = readonly string[]

/** Literal text, or the pieces that a text must all fit (two of them where two templates overlap). */
export type Segment = string | readonly Piece[]

/** A whole segment, whatever it says. */
export const ANY: Segment = Object.freeze([Object.freeze(['', ''])])

export function fits(text: string, segment: Segment): boolean {
  return typeof segment === 'string' ? text === segment : segment.every((piece) => fitsPiece(text, piece))
}

/** Whether every text that fits `inner` fits `outer`. May be false for two patterns of one meaning, never wrongly true. */
export function segmentWithin(inner: Segment, outer: Segment): boolean {
  if (typeof inner === 'string') return fits(inner, outer)
  if (typeof outer === 'string') return false
  return outer.every((wide) => inner.some((narrow) => implies(narrow, wide)))
}

/** The segment that exactly those texts fit which fit both; undefined when there are none. */
export function meetSegments(a: Segment, b: Segment): Segment | undefined {
  if (typeof a === 'string') return fits(a, b) ? a : undefined
  if (typeof b === 'string') return fits(b, a) ? b : undefined
  if (!a.every((one) => b.every((other) => compatible(one, other)))) return undefined
  const pieces = [...a, ...b].sort(byText)
  return pieces.filter(
    (piece, i) =>
      !pieces.some((other, j) => i !== j && implies(other, piece) && (j < i || !implies(piece, other))),
  )
}

/** Unambiguous, since a canonical path holds neither raw braces nor spaces. */
export function segmentText(segment: Segment): string {
  return typeof segment === 'string' ? segment : segment.map((piece) => piece.join('{}')).join(' & ')
}

function fitsPiece(text: string, piece: Piece): boolean {
  if (isAny(piece)) return text !== ''
  const [prefix = '', ...later] = piece
  const suffix = later.pop() ?? ''
  if (!text.startsWith(prefix) || !endsWith(text, suffix)) return false
  // The leftmost place for each literal leaves the most room for the rest, so there is no need to go back.
  let at = prefix.length
  for (const literal of later) {
    const found = indexOf(text, literal, at + 1)
    if (found === -1) return false
    at = found + literal.length
  }
  return at < text.length - suffix.length
}

function isAny(piece: Piece): boolean {
  return piece.length === 2 && piece[0] === '' && piece[1] === ''
}

function implies(narrow: Piece, wide: Piece): boolean {
  if (narrow.length === wide.length && narrow.every((literal, i) => literal === wide[i])) return true
  return (
    wide.length === 2 &&
    first(narrow).startsWith(first(wide)) &&
    endsWith(last(narrow), last(wide)) &&
    shortest(narrow) >= shortest(wide)
  )
}

function compatible(a: Piece, b: Piece): boolean {
  return (
    (first(a).startsWith(first(b)) || first(b).startsWith(first(a))) &&
    (endsWith(last(a), last(b)) || endsWith(last(b), last(a)))
  )
}

/** A parameter holds one character at least. */
function shortest(piece: Piece): number {
  return piece.reduce((length, literal) => length + literal.length, piece.length - 1)
}

function first(piece: Piece): string {
  return piece[0] ?? ''
}

function last(piece: Piece): string {
  return piece.at(-1) ?? ''
}

function endsWith(text: string, suffix: string): boolean {
  return text.endsWith(suffix) && !splitsEscape(text, text.length - suffix.length)
}

function indexOf(text: string, literal: string, from: number): number {
  let at = text.indexOf(literal, from)
  while (at !== -1 && splitsEscape(text, at)) at = text.indexOf(literal, at + 1)
  return at
}

/** The backend reads decoded text: the `A9` of `%C3%A9` is no `A9` to it. */
function splitsEscape(text: string, at: number): boolean {
  return text[at - 1] === '%' || text[at - 2] === '%'
}

function byText(a: Piece, b: Piece): number {
  const [left, right] = [a.join('{}'), b.join('{}')]
  return left < right ? -1 : Number(left > right)
}
