import { canonicalLiteral } from '../request/target.ts'
import { ANY, meetSegments, segmentText, segmentWithin } from './segment.ts'
import type { Piece, Segment } from './segment.ts'

/** A path template, parsed. A trailing slash is no part of it: a row speaks for its twin. */
export interface Template {
  readonly segments: readonly Segment[]
  /** It ends in `**` and speaks for whatever follows, nothing included. */
  readonly rest: boolean
  /** Written with `*` or `**`: it names a region, not a route. */
  readonly wildcard: boolean
}

export type ParsedTemplate =
  { readonly ok: true; readonly template: Template } | { readonly ok: false; readonly fault: string }

/**
 * @param text `/api/roms/{id}`; runs of `/` count as one, as they do in a canonical path
 * @param wildcards `*` and `**` mean something; in a backend's document they are plain text
 */
export function parseTemplate(text: string, wildcards: boolean): ParsedTemplate {
  if (!text.startsWith('/')) return refuse('it does not begin with /')
  if (/[?#]/.test(text)) return refuse('a path has no query and no fragment')
  const parts = text.split('/').filter((part) => part !== '')
  const rest = wildcards && parts.at(-1) === '**'
  if (rest) parts.pop()
  const segments: Segment[] = []
  for (const part of parts) {
    if (wildcards && part.includes('**')) return refuse('** stands alone, at the end')
    const segment = parseSegment(wildcards ? part.replaceAll('*', '{*}') : part)
    if (segment === undefined) return refuse(`the segment ${part} cannot be part of a path`)
    segments.push(segment)
  }
  return { ok: true, template: { segments, rest, wildcard: wildcards && text.includes('*') } }
}

/** Segments of a canonical path; the same for its trailing-slash twin. */
export function segmentsOf(path: string): readonly string[] {
  const from = path.startsWith('/') ? 1 : 0
  const to = path.endsWith('/') ? path.length - 1 : path.length
  return to <= from ? [] : path.slice(from, to).split('/')
}

/** Whether every path of `inner` is one of `outer`'s. */
export function isWithin(inner: Template, outer: Template): boolean {
  const lengths = outer.rest
    ? inner.segments.length >= outer.segments.length
    : !inner.rest && inner.segments.length === outer.segments.length
  return (
    lengths &&
    outer.segments.every((segment, i) => {
      const mine = inner.segments[i]
      return mine !== undefined && segmentWithin(mine, segment)
    })
  )
}

/** The template of exactly those paths that are both `a`'s and `b`'s; undefined when there are none. */
export function meet(a: Template, b: Template): Template | undefined {
  const [short, long] = a.segments.length <= b.segments.length ? [a, b] : [b, a]
  if (short.segments.length < long.segments.length && !short.rest) return undefined
  const segments: Segment[] = []
  for (const [i, theirs] of long.segments.entries()) {
    const both = meetSegments(short.segments[i] ?? ANY, theirs)
    if (both === undefined) return undefined
    segments.push(both)
  }
  return { segments, rest: a.rest && b.rest, wildcard: a.wildcard || b.wildcard }
}

/** One text for every spelling of a template, whatever its parameters are called. */
export function templateText({ segments, rest }: Template): string {
  return `/${[...segments.map(segmentText), ...(rest ? ['**'] : [])].join('/')}`
}

/** Whether it speaks for more than one path (its twin aside). */
export function isOpen({ segments, rest }: Template): boolean {
  return rest || segments.some((segment) => typeof segment !== 'string')
}

function parseSegment(text: string): Segment | undefined {
  const literals: string[] = []
  let from = 0
  for (let open = text.indexOf('{'); open !== -1; open = text.indexOf('{', from)) {
    const close = text.indexOf('}', open)
    if (close <= open + 1 || text.slice(open + 1, close).includes('{')) return undefined
    literals.push(text.slice(from, open))
    from = close + 1
  }
  literals.push(text.slice(from))
  const piece = literals.map(canonical)
  if (piece.includes(undefined)) return undefined
  const [literal = '', ...others] = piece as string[]
  if (others.length > 0) return [piece as Piece]
  return canonicalLiteral(`/${literal}`) === undefined ? undefined : literal
}

function canonical(text: string): string | undefined {
  return text.includes('}') || !text.isWellFormed() ? undefined : canonicalLiteral(text)
}

function refuse(fault: string): ParsedTemplate {
  return { ok: false, fault }
}
