import { asPosternError, PosternError } from '../errors.ts'
import type { Clock } from '../identity/clock.ts'

/**
 * `work`, or PosternError `could_not_check` when it fails or takes longer than `ms` milliseconds. Work that is
 * late goes on: its own client gives up later and frees the connection.
 */
export async function within<T>(clock: Clock, ms: number, what: string, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const cancel = clock.after(ms, () => {
    late.reject(new PosternError('could_not_check', `${what}: no answer in ${ms} ms`))
  })
  try {
    return await Promise.race([work, late.promise])
  } catch (error) {
    throw asPosternError(error, 'could_not_check')
  } finally {
    cancel()
  }
}
