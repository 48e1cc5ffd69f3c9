import * as fc from 'fast-check'
import { DEEDS } from './plans.ts'
import type { Deed } from './plans.ts'
import { SERVICES, TROUBLES } from './romm.ts'
import type { Service, Trouble } from './romm.ts'

/**
 * How a request that changes somebody ends. `lost`: after it was done, `early`: before it is done, `failed`: done and
 * answered with a failure, `refused`: not done.
 */
export const ENDINGS = ['done', 'failed', 'lost', 'early', 'refused'] as const
export type Ending = (typeof ENDINGS)[number]

export const MOMENTS = ['before', 'meanwhile', 'after'] as const
export type Moment = (typeof MOMENTS)[number]

export type Command =
  | { readonly kind: 'use'; readonly replica: number; readonly credential: number }
  /** On one replica after the other, so many milliseconds apart. */
  | { readonly kind: 'use what changed'; readonly apart: number }
  | {
      readonly kind: 'change'
      readonly deed: Deed
      readonly nth: number
      /** Through which replica; undefined: behind all of them. */
      readonly replica: number | undefined
      readonly ending: Ending
      /** Whom it is about comes along just before it, while it is under way, or as soon as it is answered. */
      readonly uses: readonly Moment[]
    }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'source'; readonly service: Service; readonly trouble: Trouble }
  | { readonly kind: 'redis'; readonly state: 'up' | 'slow' | 'down' }
  | { readonly kind: 'line'; readonly replica: number; readonly state: 'well' | 'cut' | 'hangs' }

const replica = fc.nat({ max: 2 })

const use = fc.record({ kind: fc.constant('use' as const), replica, credential: fc.nat({ max: 11 }) })

const useChanged = fc.record({
  kind: fc.constant('use what changed' as const),
  apart: fc.constantFrom(0, 0, 30, 600),
})

const change = fc.record({
  kind: fc.constant('change' as const),
  deed: fc.constantFrom(...DEEDS),
  nth: fc.nat({ max: 15 }),
  replica: fc.option(replica, { nil: undefined, freq: 4 }),
  ending: fc.oneof(
    { weight: 4, arbitrary: fc.constant('done' as const) },
    { weight: 1, arbitrary: fc.constantFrom(...ENDINGS) },
  ),
  uses: fc.subarray([...MOMENTS]),
})

const pass = fc.record({
  kind: fc.constant('pass' as const),
  ms: fc.constantFrom(1, 50, 150, 400, 1_000, 2_600, 3_100, 12_000),
})

const trouble = fc.oneof(
  fc.record({
    kind: fc.constant('source' as const),
    service: fc.constantFrom(...SERVICES),
    trouble: fc.constantFrom(...TROUBLES),
  }),
  fc.record({ kind: fc.constant('redis' as const), state: fc.constantFrom('up', 'slow', 'down') }),
  fc.record({
    kind: fc.constant('line' as const),
    replica,
    state: fc.constantFrom('well', 'cut', 'hangs'),
  }),
)

export const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: use },
    { weight: 2, arbitrary: useChanged },
    { weight: 4, arbitrary: change },
    { weight: 5, arbitrary: pass },
    { weight: 1, arbitrary: trouble },
  ),
  { minLength: 10, maxLength: 60, size: 'max' },
)
