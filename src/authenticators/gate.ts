import { PosternError } from '../errors.ts'

/**
 * @param lane on whose behalf: a client's network
 * @param ahead of all that is not: for work of which there is never much
 */
export type Gate = <T>(lane: string, work: () => Promise<T>, ahead?: boolean) => Promise<T>

export interface GateOptions {
  /** What the work is, for the message of a refusal. */
  readonly what: string
  /** Pieces of work at once. */
  readonly atOnce: number
  /** Pieces of work that may wait, in all. */
  readonly waiting: number
}

/** Of the waiting room, at most this much is one lane's: somebody else always finds a place. */
const LARGEST_SHARE = 1 / 2

/**
 * Runs a bounded number of pieces of work at once and lets a bounded number wait. Lanes take turns, and when the waiting
 * room is full its longest lane makes room for a shorter one: a flood delays nobody but itself by more than one turn of each.
 * @throws PosternError `question_refused` for whom there is no room
 */
export function createGate({ what, atOnce, waiting }: GateOptions): Gate {
  let running = 0
  const refusal = (): PosternError => new PosternError('question_refused', `${what}: too many wait`)
  const room = new WaitingRoom(waiting, refusal)
  const roomAhead = new WaitingRoom(waiting, refusal)
  return async (lane, work, ahead = false) => {
    if (running < atOnce) running++
    else await (ahead ? roomAhead : room).enter(lane)
    try {
      return await work()
    } finally {
      // A waiting one takes over this one's place, so the count stays.
      if (!roomAhead.callNext() && !room.callNext()) running--
    }
  }
}

type Turn = PromiseWithResolvers<void>

class WaitingRoom {
  readonly #places: number
  readonly #refusal: () => PosternError
  /** Those who wait, by lane; the first lane is the next one's. */
  readonly #lanes = new Map<string, Turn[]>()
  #taken = 0

  constructor(places: number, refusal: () => PosternError) {
    this.#places = places
    this.#refusal = refusal
  }

  enter(lane: string): Promise<void> {
    const turns = this.#lanes.get(lane) ?? []
    if (turns.length >= Math.ceil(this.#places * LARGEST_SHARE)) throw this.#refusal()
    if (this.#taken >= this.#places) this.#makeRoomFor(turns.length + 1)
    const turn = Promise.withResolvers<void>()
    turns.push(turn)
    this.#lanes.set(lane, turns)
    this.#taken++
    return turn.promise
  }

  /** @returns whether anybody waited */
  callNext(): boolean {
    for (const [lane, turns] of this.#lanes) {
      const next = turns.shift()
      // Its lane has had its turn: the others come first now.
      this.#lanes.delete(lane)
      if (turns.length > 0) this.#lanes.set(lane, turns)
      this.#taken--
      next?.resolve()
      return true
    }
    return false
  }

  /** Sends the last of the longest lane away, if that lane is longer than the asking one would be. */
  #makeRoomFor(length: number): void {
    let longest: Turn[] = []
    for (const turns of this.#lanes.values()) if (turns.length > longest.length) longest = turns
    if (longest.length <= length) throw this.#refusal()
    longest.pop()?.reject(this.#refusal())
    this.#taken--
  }
}
