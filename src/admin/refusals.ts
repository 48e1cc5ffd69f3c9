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
/** Bytes of a line that has its place beside the others. */
const PLACE = 1_024

/** What is at hand of a refusal, for somebody who may ask for it; nobody does of most. */
interface Kept {
  reason: Denial['reason']
  rule: Denial['rule'] | undefined
  principal: Denial['principal'] | undefined
  /** Of the credential, which is not kept itself. */
  kind: CredentialKind | undefined
  required: Denial['required'] | undefined
  missing: Denial['missing'] | undefined
  hint: string | undefined
  /** Milliseconds since the epoch. */
  at: number
  /** Bytes of its line in its place; 0 where it is too long for it. */
  length: number
  longLine: LineText | undefined
}

/**
 * The latest refusals, by the id that their clients were told. Their lines stand in one buffer, and what is said of each is
 * written over that of the oldest: a thousand lines that live on and are replaced all the time made the collector of
 * garbage copy them again and again, an eighth of what a refusal cost.
 */
export class Refusals {
  readonly #lines = Buffer.alloc(MOST * PLACE)
  readonly #kept: Kept[] = []
  #next = 0

  add(denial: Denial, line: LineText, now: number): void {
    const short = withShortPath(line)
    const length = this.#write(short)
    const kept = (this.#kept[this.#next] ??= emptyPlace())
    kept.reason = denial.reason
    kept.rule = denial.rule
    kept.principal = denial.principal
    kept.kind = denial.credential?.kind
    kept.required = denial.required
    kept.missing = denial.missing
    kept.hint = denial.hint
    kept.at = now
    kept.length = length
    kept.longLine = length === 0 ? short : undefined
    this.#next = (this.#next + 1) % MOST
  }

  get(id: string): Refusal | undefined {
    for (const [place, kept] of this.#kept.entries()) {
      const line = kept.longLine ?? this.#read(place, kept.length)
      if (line.includes(id) && readLine(line)['id'] === id) return refusalOf(kept, line)
    }
    return undefined
  }

  /** @returns its bytes; 0 where there is no room for them */
  #write(line: LineText): number {
    // Of a character that needs two bytes or three there are few; whatever does not fit is kept as it is.
    if (line.length * 3 > PLACE && Buffer.byteLength(line) > PLACE) return 0
    return this.#lines.write(line, this.#next * PLACE)
  }

  #read(place: number, length: number): LineText {
    return this.#lines.toString('utf8', place * PLACE, place * PLACE + length)
  }
}

function emptyPlace(): Kept {
  return {
    reason: 'internal_error',
    rule: undefined,
    principal: undefined,
    kind: undefined,
    required: undefined,
    missing: undefined,
    hint: undefined,
    at: 0,
    length: 0,
    longLine: undefined,
  }
}

function withShortPath(line: LineText): LineText {
  if (line.length <= LONGEST_PATH) return line
  const fields = readLine(line)
  const { path } = fields
  if (typeof path !== 'string' || path.length <= LONGEST_PATH) return line
  return JSON.stringify({ ...fields, path: path.slice(0, LONGEST_PATH) }).slice(1, -1)
}

function refusalOf(kept: Kept, line: LineText): Refusal {
  const { rule, principal, required, missing, at } = kept
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
