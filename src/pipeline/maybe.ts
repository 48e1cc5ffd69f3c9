import type { MaybePromise } from './outcome.ts'

/** `use(value)`, at once when `value` is already there: a warm decision crosses no promise. */
export function chain<T, U>(value: MaybePromise<T>, use: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return value instanceof Promise ? value.then(use) : use(value)
}

/** `task()`, with `recover` for what it throws, now or later. */
export function attempt<T>(
  task: () => MaybePromise<T>,
  recover: (error: unknown) => MaybePromise<T>,
): MaybePromise<T> {
  try {
    const value = task()
    return value instanceof Promise ? value.catch(recover) : value
  } catch (error) {
    return recover(error)
  }
}
