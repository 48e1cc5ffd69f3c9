import { factText } from '../support/romm/facts.ts'

/** One row of a recorded table: what the backend told each credential, one character each. */
export interface Row {
  readonly method: string
  /** With its parameters filled in. */
  readonly path: string
  readonly template: string
  /** The scopes that the route names; empty for a public one. */
  readonly required: readonly string[]
  readonly answers: string
}

export interface Decisions {
  /** Credentials of the fixture, in the order of the answers. */
  readonly names: readonly string[]
  readonly rows: readonly Row[]
}

export function readDecisions(file: string): Decisions {
  const [, head = '', ...lines] = factText(file).trimEnd().split('\n')
  const rows = lines.map((line): Row => {
    const [method = '', template = '', required = '', answers = ''] = line.split('\t')
    return {
      method,
      template,
      path: template.replace(/\{\w+\}/g, '999999'),
      required: required === 'public' ? [] : required.split(' '),
      answers,
    }
  })
  return { names: JSON.parse(head.trim()) as string[], rows }
}

export type Expected = 'forward' | 401 | 403

/**
 * What the gateway must do where the backend answered with this character.
 * @param caller the scopes of whom RomM's own rules take the credential for; undefined for nobody
 */
export function expectedOf(char: string, row: Row, caller: readonly string[] | undefined): Expected {
  switch (char) {
    case '1':
      return 401
    case '3':
      return 403
    case '.':
    case 'h':
      return 'forward'
    case 'x':
      // A bad credential crashes RomM; we refuse it, or on a public route leave it out.
      return row.required.length === 0 ? 'forward' : 401
    case '?':
      // It looked at the body before the scopes, so the answer says nothing: the route's own scopes decide.
      if (row.required.length === 0) return 'forward'
      if (caller === undefined) return 401
      return row.required.every((scope) => caller.includes(scope)) ? 'forward' : 403
    default:
      throw new Error(`unknown answer '${char}' for ${row.method} ${row.template}`)
  }
}
