/** `${NAME}` and `${NAME:-default}`; `$${` is a plain `${`. */
const REFERENCE = /\$\$\{|\$\{([^}]*)\}/g
const NAMED = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s

export type Environment = Readonly<Record<string, string | undefined>>

export interface Interpolated {
  readonly value: unknown
  /** Whether any text came from the environment. */
  readonly changed: boolean
  /** What is wrong, one sentence each. */
  readonly faults: readonly string[]
}

/** Every text inside `value` with its references replaced; replaced text is not looked at again. */
export function interpolate(value: unknown, env: Environment): Interpolated {
  const faults: string[] = []
  let changed = false
  const replace = (text: string): string =>
    text.replace(REFERENCE, (whole, inside: string | undefined) => {
      if (inside === undefined) return '${'
      changed = true
      const [, name = '', fallback] = NAMED.exec(inside) ?? []
      // An empty variable counts as absent, as it does everywhere else here (and for ':-' in a shell).
      const found = env[name] || fallback
      if (name === '') faults.push(`"${whole}" is not of the form \${NAME} or \${NAME:-default}`)
      else if (found === undefined) faults.push(`the environment variable ${name} is not set`)
      return found ?? ''
    })
  const walk = (node: unknown): unknown => {
    if (typeof node === 'string') return replace(node)
    if (Array.isArray(node)) return node.map(walk)
    if (typeof node !== 'object' || node === null) return node
    return Object.fromEntries(Object.entries(node).map(([name, member]) => [name, walk(member)]))
  }
  return { value: walk(value), changed, faults }
}
