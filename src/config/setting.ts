import { Type, type TObject, type TProperties, type TUnsafe } from 'typebox'
import type { KindName, ParsedKind } from './kinds.ts'

/**
 * What every setting says of itself besides its type. A setting without a default and outside `optional()`
 * must be given.
 */
export interface About<Default = unknown> {
  /** One sentence: what it does, its unit, why its default is what it is. */
  readonly description: string
  readonly default?: Default
  /** A default that hangs on another setting: its dotted path, and a default for each of its values. */
  readonly defaultBy?: { readonly setting: string; readonly values: Readonly<Record<string, Default>> }
}

/** Bounds of a duration or a size, in the words of the file (`60s`). */
interface Bounds {
  readonly atLeast?: string
  readonly atMost?: string
}

/**
 * A setting that is written as text and loaded as something better. JSON Schema knows its written form,
 * TypeScript its loaded one; validation turns the first into the second in place.
 */
export function written<Name extends KindName>(
  kind: Name,
  about: About<string> & Bounds,
): TUnsafe<ParsedKind<Name>> {
  return Type.Unsafe<ParsedKind<Name>>({ type: 'string', kind, ...about })
}

/** A text that must not be shown: may also be given as `{ file: … }`. */
export function secret(about: About<string>, kind: KindName = 'secret'): TUnsafe<string> {
  return Type.Unsafe<string>({ type: 'string', kind, secret: true, ...about })
}

export function choice<const Words extends readonly string[]>(
  words: Words,
  about: About<Words[number]>,
): TUnsafe<Words[number]> {
  return Type.Unsafe<Words[number]>({ type: 'string', enum: words, ...about })
}

export function flag(about: About<boolean>): TUnsafe<boolean> {
  return Type.Unsafe<boolean>({ type: 'boolean', ...about })
}

/** A whole number, at least `minimum` (0 unless told). */
export function count(
  about: About<number> & { readonly minimum?: number; readonly maximum?: number },
): TUnsafe<number> {
  return Type.Unsafe<number>({ type: 'integer', minimum: 0, ...about })
}

/** A list of texts of one kind. */
export function list<Name extends KindName>(
  kind: Name,
  about: About<readonly string[]> & { readonly minItems?: number },
): TUnsafe<readonly ParsedKind<Name>[]> {
  const items = { type: 'string', kind }
  return Type.Unsafe<readonly ParsedKind<Name>[]>({ type: 'array', items, uniqueItems: true, ...about })
}

/** A map from names of one kind to lists of scopes. */
export function scopeMap(
  keys: KindName,
  about: About<Readonly<Record<string, readonly string[]>>>,
): TUnsafe<Readonly<Record<string, readonly string[]>>> {
  const scopes = { type: 'array', items: { type: 'string', kind: 'scope' }, uniqueItems: true }
  return Type.Unsafe<Readonly<Record<string, readonly string[]>>>({
    type: 'object',
    propertyNames: { type: 'string', keyKind: keys },
    additionalProperties: scopes,
    ...about,
  })
}

/** A list of objects, written in YAML or as JSON. */
export function listOf<Properties extends TProperties>(
  item: TObject<Properties>,
  about: About<readonly unknown[]>,
) {
  return Type.Array(item, { ...about })
}

/** The members of one entry in a list of objects. */
export function entry<Properties extends TProperties>(properties: Properties) {
  return Type.Object(properties, { additionalProperties: false })
}

/** A section that is always there: what is not given has its default. */
export function section<Properties extends TProperties>(
  description: string,
  properties: Properties,
  options: { readonly shorthand?: string } = {},
) {
  return Type.Object(properties, { description, additionalProperties: false, default: {}, ...options })
}

/** A section that is there only if something in it is given. */
export function optionalSection<Properties extends TProperties>(
  description: string,
  properties: Properties,
  options: { readonly shorthand?: string } = {},
) {
  return Type.Optional(Type.Object(properties, { description, additionalProperties: false, ...options }))
}

/** A setting without default that need not be given. */
export const optional = Type.Optional
