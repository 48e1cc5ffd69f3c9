import type { CredentialKind } from '../identity/credential.ts'
import type { Denial } from '../pipeline/decision.ts'
import { hintOf } from '../pipeline/hint.ts'
import { readLine } from '../observe/line.ts'
import type { DecisionLine, LineText } from '../observe/line.ts'
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

/** What is at hand of a refusal, for somebody who may ask for it; nobody does of most. */
interface Kept {
  readonly id: string
  readonly reason: Denial['reason']
  readonly rule: Denial['rule'] | undefined
  readonly principal: Denial['principal'] | undefined
  /** Of the credential, which is not kept itself. */
  readonly kind: CredentialKind | undefined
  readonly required: Denial['required'] | undefined
  readonly missing: Denial['missing'] | undefined
  readonly line: LineText
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly hint: string | undefined
}

/** The latest refusals, by the id that their clients were told. */
export class Refusals {
  /** In a circle: the next one takes the place of the oldest. */
  readonly #kept: Kept[] = []
  #next = 0

  add(id: string, denial: Denial, line: LineText, now: number): void {
    const { reason, rule, principal, required, missing, hint } = denial
    const kind = denial.credential?.kind
    const short = withShortPath(line)
    this.#kept[this.#next] = {
      id,
      reason,
      rule,
      principal,
      kind,
      required,
      missing,
      hint,
      line: short,
      at: now,
    }
    this.#next = (this.#next + 1) % MOST
  }

  get(id: string): Refusal | undefined {
    const kept = this.#kept.find((one) => one.id === id)
    return kept && refusalOf(kept)
  }
}

function withShortPath(line: LineText): LineText {
  if (line.length <= LONGEST_PATH) return line
  const fields = readLine(line)
  const { path } = fields
  if (typeof path !== 'string' || path.length <= LONGEST_PATH) return line
  return JSON.stringify({ ...fields, path: path.slice(0, LONGEST_PATH) }).slice(1, -1)
}

function refusalOf(kept: Kept): Refusal {
  const { rule, principal, required, missing, line, at } = kept
  return {
    time: new Date(at).toISOString(),
    line: readLine(line),
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
    hint: hintOf(kept, kept.kind),
  }
}
