import { EventEmitter, once } from 'node:events'
import { MODES, type Death, type Mode, type Person } from './people.ts'
import type { Replica } from './support.ts'

/** One answer. Times are monotonic milliseconds of this process. */
interface Answer {
  readonly replica: string
  readonly credential: string
  readonly sentAt: number
  readonly answeredAt: number
  readonly status: number
}

/** What happened to a credential, and since when each replica must refuse it. */
interface Fate {
  readonly beganAt: number
  readonly refusal: number
  readonly refusedFrom: (replica: string) => number
}

/**
 * Sees everything that is asked and everything that dies, and finds what must not be: a success of a dead credential that was
 * *sent* after everybody had to refuse it, and a refusal of a live one. Whatever a request went through on its way, it was
 * decided on after it was sent, so neither can be put down to a slow machine.
 */
export class Witness {
  readonly #answers: Answer[] = []
  readonly #fates = new Map<string, Fate>()
  readonly #news = new EventEmitter()

  get count(): number {
    return this.#answers.length
  }

  async ask(replica: Replica, person: Person, mode: Mode): Promise<number> {
    const sentAt = performance.now()
    const status = await replica.status(person.as[mode])
    const answeredAt = performance.now()
    this.#answers.push({ replica: replica.name, credential: key(person, mode), sentAt, answeredAt, status })
    this.#news.emit('answer')
    return status
  }

  /** Waits until so many more were answered. */
  async sees(more: number): Promise<void> {
    const end = this.count + more
    while (this.count < end) await once(this.#news, 'answer')
  }

  /**
   * @param act makes the change, and is over when it is made
   * @param grace milliseconds from then on for which each replica may still take what is dead for alive
   */
  async dies<T>(
    person: Person,
    { dead, status }: Pick<Death, 'dead' | 'status'>,
    act: () => Promise<T>,
    grace: (replica: string) => number,
  ): Promise<T> {
    const beganAt = performance.now()
    let endedAt = Infinity
    const refusedFrom = (replica: string): number => endedAt + grace(replica)
    for (const mode of dead) this.#fates.set(key(person, mode), { beganAt, refusal: status, refusedFrom })
    const result = await act()
    endedAt = performance.now()
    return result
  }

  /** Every answer that must not be. */
  faults(): string[] {
    return this.#answers.flatMap((answer) => this.#faultOf(answer) ?? [])
  }

  /** How many answers there were of each status. */
  statuses(): Readonly<Record<string, number>> {
    const groups = Map.groupBy(this.#answers, ({ status }) => String(status))
    return Object.fromEntries([...groups].map(([status, answers]) => [status, answers.length]))
  }

  #faultOf({ replica, credential, sentAt, answeredAt, status }: Answer): string | undefined {
    const fate = this.#fates.get(credential)
    const where = `${replica}, ${credential}: ${status}`
    if (status === 200) {
      const late = sentAt - (fate?.refusedFrom(replica) ?? Infinity)
      return late > 0 ? `${where} ${late.toFixed(1)} ms too late` : undefined
    }
    if (status === 503) return undefined
    if (fate === undefined) return `${where}, and it lives`
    if (answeredAt < fate.beganAt) return `${where} before it died`
    return status === fate.refusal ? undefined : `${where}, not ${fate.refusal}`
  }
}

function key({ name }: Person, mode: Mode): string {
  return `${name}, ${mode}`
}

/** Asks about the dead of one person everywhere until they are refused, and then some more. */
export async function untilRefused(
  witness: Witness,
  replicas: readonly Replica[],
  person: Person,
  death: Pick<Death, 'dead' | 'status'>,
): Promise<void> {
  const each = replicas.flatMap((replica) => death.dead.map((mode) => ({ replica, mode })))
  await Promise.all(
    each.map(async ({ replica, mode }) => {
      const end = performance.now() + 30_000
      while ((await witness.ask(replica, person, mode)) !== death.status) {
        if (performance.now() > end) throw new Error(`${replica.name} lets ${key(person, mode)} in for ever`)
      }
      for (let again = 0; again < 3; again++) await witness.ask(replica, person, mode)
    }),
  )
}

/** Asks about everything that somebody has, everywhere. */
export async function askAll(
  witness: Witness,
  replicas: readonly Replica[],
  people: readonly Person[],
): Promise<void> {
  const each = replicas.flatMap((replica) =>
    people.flatMap((person) => MODES.map((mode) => witness.ask(replica, person, mode))),
  )
  await Promise.all(each)
}
