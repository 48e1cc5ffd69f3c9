/** JSON pointers (RFC 6901) and what they point at. */
export type Pointer = string
export type JsonObject = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The pointer to a member of what `pointer` points at. */
export function child(pointer: Pointer, name: string): Pointer {
  return `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/**
 * @param pointer as it stands in a `$ref` behind the `#`, percent-encoding included (RFC 6901 §6)
 * @returns undefined when there is nothing; an object's inherited properties are nothing
 */
export function resolvePointer(root: unknown, pointer: Pointer): unknown {
  if (pointer === '') return root
  if (!pointer.startsWith('/')) return undefined
  let value = root
  for (const token of pointer.slice(1).split('/')) {
    const name = decode(token).replaceAll('~1', '/').replaceAll('~0', '~')
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as JsonObject)[name]
  }
  return value
}

function decode(token: string): string {
  try {
    return decodeURIComponent(token)
  } catch {
    return token
  }
}
