import type { Denial } from '../pipeline/decision.ts'
import { hintOf } from '../pipeline/hint.ts'
import type { DecisionLine } from '../observe/log.ts'
import { describeRequirement } from '../routes/requirement.ts'

/** A refusal at length; holds no credential. */
export interface Refusal {
  /** ISO 8601. */
  readonly time: string
  /** As it was logged. */
  readonly line: DecisionLine
  /** `GET /api/roms/{id} (document)`; undefined where no rule spoke for it. */
  readonly rule: string | undefined
  readonly requires: string | undefined
  /** Whose credential it was; undefined where it was nobody's. */
  readonly principal:
    | { readonly user: string | undefined; readonly mode: string; readonly token: string | undefined }
    | undefined
  /** What the principal may do; null where only the backend knows. */
  readonly held: readonly string[] | null | undefined
  readonly required: readonly string[] | undefined
  readonly missing: readonly string[] | undefined
  readonly hint: string | undefined
}

const MOST = 1_000
/** Characters of a path; nobody needs more to know which it was. */
const LONGEST_PATH = 500

/** The latest refusals, by the id that their clients were told. */
export class Refusals {
  readonly #kept = new Map<string, Refusal>()

  add(id: string, denial: Denial, line: DecisionLine, now: number): void {
    this.#kept.set(id, refusalOf(denial, line, now))
    const [oldest] = this.#kept.size > MOST ? this.#kept.keys() : []
    if (oldest !== undefined) this.#kept.delete(oldest)
  }

  get(id: string): Refusal | undefined {
    return this.#kept.get(id)
  }
}

function refusalOf(denial: Denial, line: DecisionLine, now: number): Refusal {
  const { rule, principal, required, missing } = denial
  const { path } = line
  return {
    time: new Date(now).toISOString(),
    line: typeof path === 'string' ? { ...line, path: path.slice(0, LONGEST_PATH) } : line,
    rule: rule && `${rule.methods === '*' ? '*' : rule.methods.join(',')} ${rule.template} (${rule.origin})`,
    requires: rule && describeRequirement(rule.requirement),
    principal: principal && {
      user: principal.owner?.username,
      mode: principal.mode,
      token: principal.tokenId,
    },
    held: principal && (principal.grant.kind === 'known' ? principal.grant.scopes.names : null),
    required,
    missing,
    hint: hintOf(denial),
  }
}
