/**
 * What can go wrong with Postern itself, as opposed to a request that it refuses (those are reasons,
 * `pipeline/reason.ts`). One class, one code, one row: nothing branches on a message.
 */
const FAILURES = {
  /** More questions than the backend may be asked. */
  question_refused: 'Too many unknown credentials just now.',
  /** Guesses are refused that may not be made yet. */
  too_many_attempts: 'Too many attempts failed.',
  could_not_check: 'Whether this credential is good could not be checked just now.',
  route_table_unavailable: 'Which routes the backend has could not be read just now.',
  upstream_unreachable: 'The backend could not be reached.',
  upstream_timeout: 'The backend did not answer in time.',
  config_invalid: 'The configuration is not valid.',
  listen_failed: 'A listener could not be opened.',
  keys_unusable: 'The signing keys cannot be used.',
  not_running: 'No gateway answers.',
  usage: 'The command line is not understood.',
  permit_spent: 'A permit was used twice.',
  internal: 'Something went wrong inside Postern.',
} as const

export type FailureCode = keyof typeof FAILURES

export class PosternError extends Error {
  override readonly name = 'PosternError'
  readonly code: FailureCode
  /** Seconds after which asking again makes sense, where that is known. */
  readonly retryAfter: number | undefined

  /**
   * @param code row of the table; its sentence may be shown to anybody
   * @param detail for the operator's log or terminal, never for a client; the cause goes into `options.cause`
   */
  constructor(code: FailureCode, detail?: string, options?: ErrorOptions & { readonly retryAfter?: number }) {
    super(detail ?? FAILURES[code], options)
    this.code = code
    this.retryAfter = options?.retryAfter
  }

  /** The sentence that a client may read. */
  get publicSentence(): string {
    return FAILURES[this.code]
  }
}

/** `error` as a PosternError: itself, or wrapped as `code` with `error` as its cause. */
export function asPosternError(error: unknown, code: FailureCode = 'internal'): PosternError {
  if (error instanceof PosternError) return error
  return new PosternError(code, error instanceof Error ? error.message : String(error), { cause: error })
}
