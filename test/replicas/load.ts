import { admitAll, ALL_DEATHS, MODES, type Death, type Person } from './people.ts'
import type { Replica, Romm } from './support.ts'
import { askAll, Witness } from './witness.ts'

export interface LoadOptions {
  /** How many people die, one after the other, and how many outlive them. */
  readonly dying: number
  readonly living: number
  readonly kill: (witness: Witness, person: Person, death: Death, turn: number) => Promise<unknown>
}

/** Requests under way at once, at each replica. */
const AT_ONCE = 4
/** Answers between two deaths. */
const BETWEEN = 60

/**
 * Asks every replica steadily about everybody, while one after the other dies: each in turn in every way there is.
 * @returns who has seen it all
 */
export async function underLoad(
  romm: Romm,
  replicas: readonly Replica[],
  { dying, living, kill }: LoadOptions,
): Promise<Witness> {
  const witness = new Witness()
  const people = await admitAll(romm, dying + living)
  await askAll(witness, replicas, people)
  const over = new AbortController()
  const work = async (replica: Replica, from: number): Promise<void> => {
    for (let i = from; !over.signal.aborted; i++) {
      // Each goes its own way through everybody, so that at any time somebody is asking about anybody.
      const person = people[(i * 7) % people.length]
      const mode = MODES[i % MODES.length]
      if (person && mode) await witness.ask(replica, person, mode)
    }
  }
  const workers = replicas.flatMap((replica, which) =>
    Array.from({ length: AT_ONCE }, (_, i) => work(replica, 11 * (which * AT_ONCE + i))),
  )
  try {
    for (const [turn, person] of people.slice(0, dying).entries()) {
      const death = ALL_DEATHS[turn % ALL_DEATHS.length]
      if (death) await kill(witness, person, death, turn)
      await witness.sees(BETWEEN)
    }
    await witness.sees(10 * BETWEEN)
  } finally {
    over.abort()
    await Promise.all(workers)
  }
  return witness
}
