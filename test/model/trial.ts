import type { Credential } from '../../src/identity/credential.ts'
import { virtualClock } from '../support/clock.ts'
import { settled } from '../directory/source.ts'
import { Bonds } from './bonds.ts'
import type { Command, Ending } from './commands.ts'
import { at, Issued } from './credentials.ts'
import { differing, Floors, Judge, REFUSED } from './judge.ts'
import { permitFor, STATUS } from './permits.ts'
import { FIRST, plan } from './plans.ts'
import type { Deed, Plan, Planning } from './plans.ts'
import { SharedRedis, SILENCE_NOTICED } from './redis.ts'
import { OF_NOBODY_KNOWS_WHOM } from '../../src/gateway/changes.ts'
import { DEADLINE, FRESH, PAUSE, Replica, REVOKE_WAIT, STALE } from './replica.ts'
import { Romm, SERVICES } from './romm.ts'
import { seen } from './seen.ts'
import { answerOf, textOf } from './uses.ts'

export interface TrialOptions {
  readonly replicas: number
  readonly maxEntries: number
  readonly random: () => number
}

/** One installation of several replicas, and what it does wrong. */
export class Trial {
  readonly faults: string[] = []
  /** What happened, for whoever reads a counter-example. */
  readonly events: string[] = []
  readonly #random: () => number
  /** What a replica has seen it never has to forget. */
  readonly #isRoomy: boolean
  readonly #clock = virtualClock()
  readonly #romm: Romm
  readonly #redis: SharedRedis
  readonly #judge: Judge
  readonly #bonds: Bonds
  readonly #issued = new Issued()
  readonly #replicas: readonly Replica[]
  /** Of each replica; and the same without what others told it, to see whether that mattered. */
  readonly #floors: readonly { readonly all: Floors; readonly own: Floors }[]
  /** What the newest change made worth something else. */
  #changed: readonly Credential[] = []
  /** What is under way. */
  readonly #pending = new Map<Promise<void>, string>()

  constructor({ replicas, maxEntries, random }: TrialOptions) {
    this.#random = random
    this.#isRoomy = maxEntries >= ROOMY
    this.#romm = new Romm(FIRST, this.#clock, random)
    this.#redis = new SharedRedis(this.#clock, random)
    this.#judge = new Judge(this.#romm.history)
    this.#bonds = new Bonds(this.#romm.history)
    this.#floors = Array.from({ length: replicas }, () => ({ all: new Floors(), own: new Floors() }))
    this.#replicas = this.#floors.map((_, i) => {
      const line = this.#redis.line(() => this.#raiseAll(i, this.#romm.history.index))
      return new Replica({ name: `replica${i}`, romm: this.#romm, line, random, maxEntries })
    })
    for (const nth of [1, 2])
      for (const deed of ['create user', 'create token', 'log in'] as const)
        this.#commit(deed, plan(deed, this.#about(nth)))
  }

  /** Everything is in use everywhere, and everybody knows everybody. */
  async begin(): Promise<void> {
    this.#useSome(this.#issued.all, (i) => i * A_WHILE)
    await this.#pass(FRESH)
  }

  async run(command: Command): Promise<void> {
    switch (command.kind) {
      case 'use':
        this.#startUse(command.replica % this.#replicas.length, this.#issued.pick(command.credential))
        break
      case 'use what changed':
        this.#useSome(this.#changed, (i) => i * command.apart)
        break
      case 'change':
        this.#start(command.deed, this.#change(command))
        break
      case 'source':
        this.#note(`${command.service} is ${command.trouble}`)
        this.#romm.set(command.service, command.trouble)
        break
      case 'redis':
        this.#note(`redis is ${command.state}`)
        this.#redis.set(command.state)
        break
      case 'line':
        this.#line(command.replica % this.#replicas.length, command.state)
        break
      case 'pass':
        await this.#pass(command.ms)
    }
    await settled()
  }

  /** When everything is well again and nothing has changed for a while, everybody knows what is true. */
  async finish(): Promise<void> {
    for (const service of SERVICES) this.#romm.set(service, 'well')
    this.#redis.set('up')
    for (const i of this.#replicas.keys()) this.#line(i, 'well')
    await this.#pass(3 * FRESH)
    this.#useAll()
    await this.#pass(FRESH)
    for (const what of this.#pending.values()) this.#fault(`never ended: ${what}`)
    for (const { stop, lookups, replicas } of this.#replicas) {
      stop()
      seen.gaps += replicas.counts.gaps
      seen['changes unacknowledged'] += replicas.counts.unacknowledged
      for (const { counts } of lookups) {
        seen['answers of another replica'] += counts.shared
        seen['stale answers'] += counts.stale
      }
    }
  }

  #useAll(): void {
    for (const i of this.#replicas.keys())
      for (const credential of this.#issued.all) this.#startUse(i, credential)
  }

  /** A few of them on every replica. */
  #useSome(credentials: readonly Credential[], wait: (i: number) => number): void {
    for (const i of this.#replicas.keys())
      for (const credential of credentials.slice(-MOST))
        this.#clock.after(wait(i), () => this.#startUse(i, credential))
  }

  #start(what: string, work: Promise<void>): void {
    const ended = work
      .catch((error: unknown) => this.#fault(String(error)))
      .finally(() => this.#pending.delete(ended))
    this.#pending.set(ended, `${what}, since ${this.#clock.monotonic()} ms`)
  }

  #startUse(i: number, credential: Credential): void {
    this.#start(`${textOf(credential)} at replica ${i}`, this.#use(i, credential))
  }

  async #use(i: number, credential: Credential): Promise<void> {
    const replica = this.#replica(i)
    const began = { at: this.#clock.monotonic(), now: this.#clock.now() }
    const floors = this.#floorsOf(i)
    const [all, own] = [floors.all.copy(), floors.own.copy()]
    const answer = await answerOf(replica.authenticator, credential)
    const isTroubled = this.#romm.hadTroubleSince(began.at - PAUSE - DEADLINE - 1)
    this.#note(`${replica.name}: ${textOf(credential)} since ${began.at}: ${answer ?? 'could not check'}`)
    if (answer === undefined) {
      seen['could not check']++
      // An answer that a change overtook is asked for again, as long as one question may take.
      const isOvertaken =
        replica.forgotten.some((then) => then >= began.at) && this.#clock.monotonic() - began.at >= DEADLINE
      if (!isTroubled && !isOvertaken) this.#fault('could have been checked')
      return
    }
    seen[answer === REFUSED ? 'refused' : 'passed']++
    const judged = (by: Floors, last: Floors): ReadonlySet<string> =>
      this.#judge.answers(credential, {
        began: began.at,
        bound: isTroubled ? FRESH + STALE : FRESH,
        floors: by,
        lastFloors: last,
        between: [began.now, this.#clock.now()],
      })
    const right = judged(all, floors.all)
    if (answer === REFUSED && !right.has(answer) && this.#bonds.mayBeCut(credential)) seen['cut off']++
    else if (!right.has(answer)) this.#fault(`right would be: ${[...right].join(', or ')}`)
    const bound = isTroubled ? FRESH + STALE : FRESH
    const states = this.#romm.history.since(began.at - bound, 0)
    if (this.#isRoomy && answer !== REFUSED && !this.#bonds.admit(replica.name, credential, states))
      this.#fault('it was tied to somebody else')
    if (judged(own, floors.own).size > right.size) seen['decided by a change elsewhere']++
    else if (judged(new Floors(), new Floors()).size > right.size) seen['decided by a change here']++
  }

  async #change(command: Extract<Command, { kind: 'change' }>): Promise<void> {
    const { deed, uses, replica } = command
    const planned = plan(deed, this.#about(command.nth))
    const concerned = this.#concernedBy(planned.apply)
    if (uses.includes('before')) {
      this.#useSome(concerned, () => 0)
      await this.#romm.pause(this.#random() * A_WHILE)
    }
    if (uses.includes('meanwhile')) this.#useSome(concerned, () => this.#random() * A_WHILE)
    if (replica === undefined) this.#commit(deed, planned)
    else await this.#changeThrough(replica % this.#replicas.length, planned, command)
    if (!uses.includes('after')) return
    const apart = this.#random() < 0.3 ? A_WHILE : 0
    this.#useSome(concerned, (i) => i * apart)
    // Behind us it counts for a while yet: some come early in it, some late, some when it is over.
    if (replica === undefined)
      for (const from of [0, 0.5, 1]) this.#useSome(concerned, () => (from + this.#random()) * FRESH)
  }

  async #changeThrough(
    i: number,
    planned: Plan,
    { deed, ending }: { deed: Deed; ending: Ending },
  ): Promise<void> {
    const { name, changes } = this.#replica(i)
    const permit = permitFor(planned)
    changes.before(permit)
    await this.#romm.travel()
    const rows = ending === 'refused' || ending === 'early' ? [] : this.#commit(deed, planned)
    const { index } = this.#romm.history
    await this.#romm.travel()
    const waits = this.#clock.monotonic()
    await changes.respond(permit, STATUS[ending])
    if (this.#clock.monotonic() - waits > OF_NOBODY_KNOWS_WHOM + REVOKE_WAIT + 1)
      this.#fault('its client waited too long')
    this.#note(`${name}: ${planned.request} (${deed}) is answered: ${ending}`)
    // Where the client learned of an end that RomM had not come to yet, it is as a change behind us.
    if (ending === 'early') this.#commit(deed, planned)
    // Failures that strangers cause are gathered: but for their own session, only the first bound speaks of them.
    const isGathered = planned.anonymous === true && (ending === 'failed' || ending === 'lost')
    this.#raise(i, isGathered ? rows.filter((row) => row.startsWith('session')) : rows, index)
  }

  /** @returns the rows that it changed */
  #commit(deed: Deed, { apply, yields }: Plan): string[] {
    this.#changed = this.#concernedBy(apply)
    const rows = this.#romm.commit(apply)
    if (yields !== undefined) this.#issued.add(yields)
    this.#note(`${deed}: ${rows.join(', ')}`)
    return rows
  }

  #about(nth: number): Planning {
    return { tables: this.#romm.history.tables, issued: this.#issued, now: this.#clock.now(), nth }
  }

  #concernedBy(apply: Plan['apply']): readonly Credential[] {
    const { tables } = this.#romm.history
    return differing(this.#issued.all, tables, apply(tables), this.#clock.now())
  }

  /** Every replica that was connected answers from now on as if what came before had never been. */
  #raise(through: number, rows: readonly string[], index: number): void {
    const isTold = this.#replica(through).line.isSteady
    for (const i of this.#replicas.keys()) {
      const { all, own } = this.#floorsOf(i)
      const now = this.#clock.monotonic()
      const clear = rows.filter((row) => !this.#judge.isContested(row, now, all))
      if (i === through || (isTold && this.#replica(i).line.isSteady)) all.raise(clear, index)
      if (i === through) own.raise(clear, index)
    }
  }

  #line(i: number, state: 'well' | 'cut' | 'hangs'): void {
    const { name, line } = this.#replica(i)
    this.#note(`the line of ${name} is ${state}`)
    line.set(state)
    if (state !== 'hangs') return
    const { index } = this.#romm.history
    const { changedAt, isConnected } = line
    this.#clock.after(SILENCE_NOTICED, () => {
      if (isConnected && line.changedAt === changedAt) this.#raiseAll(i, index)
    })
  }

  /** A replica that may have missed something starts from nothing known. */
  #raiseAll(i: number, index: number): void {
    const { all, own } = this.#floorsOf(i)
    all.raiseAll(index)
    own.raiseAll(index)
  }

  /** As exactly as the clock goes: nothing waits longer than until its time. */
  async #pass(ms: number): Promise<void> {
    for (let left = ms; left > 0;) {
      const step = Math.min(left, this.#clock.next ?? left)
      this.#clock.advance(step)
      left -= step
      await settled()
    }
  }

  #replica(i: number): Replica {
    return at(this.#replicas, i)
  }

  #floorsOf(i: number): { readonly all: Floors; readonly own: Floors } {
    return at(this.#floors, i)
  }

  #note(what: string): void {
    this.events.push(`${this.#clock.monotonic().toFixed()} ms  ${what}`)
  }

  #fault(what: string): void {
    this.#note(`    FAULT: ${what}`)
    this.faults.push(what)
  }
}

/** More entries than any run has credentials. */
const ROOMY = 1_000
/** As many uses of what a change is about as leave a run short. */
const MOST = 6
/** Milliseconds within which a request comes and goes. */
const A_WHILE = 500
