/**
 * What a flood of bad credentials from many addresses costs a client who is known: `npm run bench -- flood [--short]`.
 * Ends with 1 if the client was ever refused, or more of the flood reached RomM than may.
 */
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { readFixture } from '../test/support/romm/facts.ts'
import { Closing, Installation, type Peer } from './installation.ts'
import { run } from './measure.ts'
import { percentile, printTable, saveResults } from './results.ts'
import type { Counts } from './servers/romm.ts'

const { values } = parseArgs({ options: { short: { type: 'boolean', default: false } } })
const MILLISECONDS = values.short ? 2_000 : 10_000
/** Requests a second of the client, by turns with each of its credentials. */
const RATE = 100
/** The default of `ask.rate`. */
const ASK_RATE = 50

const { credentials, secret } = readFixture()
const KNOWN = ['rmm vera all', 'basic vera'].map((name) => credentials[name]?.authorization ?? '')
const HOME = '192.0.2.7'
const FLOODS = [undefined, 'basic', 'token', 'jwt'] as const

interface Phase {
  readonly step: string
  readonly flood: string
  /** Of the client, milliseconds and statuses. */
  readonly times: readonly number[]
  readonly refused: number
  readonly perSecond: number
  /** Answers to the flood. */
  readonly answers: Readonly<Record<string, number>>
  /** Of the flood, what was forwarded. */
  readonly forwarded: number
  readonly questions: number
  readonly heartbeats: number
}

/** Requests at a fixed rate, whether or not those before are answered. */
async function client(
  peer: Peer,
  milliseconds: number,
): Promise<Pick<Phase, 'times' | 'refused' | 'perSecond'>> {
  const times: number[] = []
  let refused = 0
  const one = async (authorization: string, due: number): Promise<void> => {
    const status = await peer.send({ authorization, 'x-forwarded-for': HOME })
    times.push(performance.now() - due)
    if (status !== 200) refused++
  }
  const began = performance.now()
  const under: Promise<void>[] = []
  for (let i = 0; i * (1_000 / RATE) < milliseconds; i++) {
    const due = began + i * (1_000 / RATE)
    await setTimeout(Math.max(0, due - performance.now()))
    under.push(one(KNOWN[i % KNOWN.length] ?? '', due))
  }
  await Promise.all(under)
  return { times, refused, perSecond: (times.length / (performance.now() - began)) * 1_000 }
}

async function counts({ romm }: Installation): Promise<Counts> {
  return (await (await fetch(`${romm.url}/bench/counts`)).json()) as Counts
}

async function phase(
  installation: Installation,
  peer: Peer,
  step: string,
  kind: string | undefined,
): Promise<Phase> {
  await counts(installation)
  const flooding = [
    process.execPath,
    `${import.meta.dirname}/flooding.ts`,
    peer.url,
    kind ?? '',
    String(MILLISECONDS),
  ]
  const [measured, output] = await Promise.all([
    client(peer, MILLISECONDS),
    kind === undefined ? '{}' : run(flooding, MILLISECONDS + 30_000),
  ])
  const { forwarded, questions, heartbeats } = await counts(installation)
  const others = Object.entries(forwarded).filter(([credential]) => !KNOWN.includes(credential))
  return {
    ...measured,
    step,
    flood: kind ?? 'none',
    answers: JSON.parse(output) as Phase['answers'],
    forwarded: others.reduce((sum, [, count]) => sum + count, 0),
    questions,
    heartbeats,
  }
}

function faultsOf({ step, flood, refused, forwarded, questions }: Phase): string[] {
  const most = step === 'database' ? 0 : ASK_RATE * (MILLISECONDS / 1_000 + 2)
  const faults = [
    ...(refused > 0 ? [`${refused} requests of the client were refused`] : []),
    ...(forwarded > 0 ? [`${forwarded} bad credentials were forwarded`] : []),
    ...(questions > most ? [`${questions} questions`] : []),
  ]
  return faults.map((fault) => `${step}, flood of ${flood}: ${fault}`)
}

function row({
  step,
  flood,
  times,
  refused,
  perSecond,
  answers,
  forwarded,
  questions,
  heartbeats,
}: Phase): string[] {
  const total = Object.values(answers).reduce((sum, count) => sum + count, 0)
  const spread = [0.5, 0.99].map((share) => percentile(times, share).toFixed(1))
  const seconds = MILLISECONDS / 1_000
  const each = Object.entries(answers).map(([status, count]) => `${status}: ${count}`)
  const reached = [forwarded, (questions / seconds).toFixed(1), (heartbeats / seconds).toFixed(1)].map(String)
  return [
    step,
    flood,
    ...spread,
    perSecond.toFixed(0),
    String(refused),
    (total / seconds).toFixed(0),
    each.join(' '),
    ...reached,
  ]
}

const HEAD = [
  'step',
  'flood',
  'p50, ms',
  'p99, ms',
  'a second',
  'refused',
  'flood a second',
  'answers to it',
  'forwarded',
  'questions a second',
  'heartbeats a second',
]

const closing = new Closing()
try {
  const installation = await Installation.start(closing)
  const common = { trustedProxies: '127.0.0.1' }
  const steps = [
    { step: 'database', peer: await installation.serve({ ...common, 'romm.secret': secret }) },
    { step: 'URL only', peer: await installation.serveWithout(common) },
  ]
  const phases: Phase[] = []
  for (const { step, peer } of steps) {
    // The first requests run uncompiled, and make the client known.
    await client(peer, 1_000)
    for (const kind of FLOODS) phases.push(await phase(installation, peer, step, kind))
  }
  printTable(HEAD, phases.map(row))
  await saveResults('flood', phases)
  const faults = phases.flatMap(faultsOf)
  for (const fault of faults) console.error(fault)
  if (faults.length > 0) process.exitCode = 1
} finally {
  await closing.close()
}
