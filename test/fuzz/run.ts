/**
 * `npm run fuzz -- [--seconds 60] [--seed N] [--upstream-only] [--replay FILE]`: real requests, bent in every way that
 * a client can bend them, against a gateway in a process of its own. Ends with 1 at the first finding and leaves a file
 * for `--replay`, in which every byte of the conversation stands as an escaped text.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { converse, type Finding, newTally, type Tally } from './campaign.ts'
import type { Conversation } from './conversation.ts'
import { fuzz } from './fuzz.ts'
import type { Inside } from './inside.ts'
import { type Stage, startStage } from './stage.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now()) },
    'upstream-only': { type: 'boolean', default: false },
    replay: { type: 'string' },
  },
})
const SHOWN = 20
const BATCH = 2_000

const stage = await startStage(values['upstream-only'] ? 'upstream' : 'full')
try {
  const findings = values.replay === undefined ? await attack(stage) : await replay(stage, values.replay)
  if (findings.length > 0) await report(findings)
} finally {
  await stage.close()
}

async function attack(on: Stage): Promise<readonly Finding[]> {
  const { seed } = values
  console.log(`seed ${seed}, ${values.seconds} seconds`)
  const until = performance.now() + Number(values.seconds) * 1_000
  const goOn = (): boolean => performance.now() < until
  const { tally, findings, before, after } = await fuzz(on, { seed, batch: BATCH, goOn, onProgress })
  console.log(`\n${summary(tally)}\n${growth(before, after)}`)
  return findings
}

async function replay(on: Stage, file: string): Promise<readonly Finding[]> {
  // Written by `report`.
  const { conversations } = JSON.parse(await readFile(file, 'utf8')) as {
    readonly conversations: Conversation[]
  }
  return converse(on, conversations, newTally())
}

async function report(findings: readonly Finding[]): Promise<void> {
  for (const { what, conversations } of findings.slice(0, SHOWN)) {
    console.error(`\n${what}`)
    if (conversations.length === 1)
      console.error(conversations[0]?.pieces.map((piece) => `  ${JSON.stringify(piece)}`).join('\n'))
  }
  const conversations = [...new Set(findings.flatMap((finding) => finding.conversations))]
  console.error(`\n${findings.length} findings; again: npm run fuzz -- ${await again(conversations)}`)
  process.exitCode = 1
}

/** What is left behind at the end cannot be told to come of any one conversation. */
async function again(conversations: readonly Conversation[]): Promise<string> {
  if (conversations.length === 0) return `--seed ${values.seed} --seconds ${values.seconds}`
  const file = join(tmpdir(), `postern-fuzz-${values.seed}.json`)
  await writeFile(file, JSON.stringify({ seed: values.seed, conversations }, undefined, 1))
  return `--replay ${file}`
}

function onProgress({ conversations, forwarded }: Tally): void {
  process.stdout.write(`\r${conversations} conversations, ${forwarded} forwarded `)
}

function summary({ conversations, requests, answers, forwarded, sockets, refusals }: Tally): string {
  const reasons = [...refusals]
    .toSorted(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${reason} ${count}`)
  return `${conversations} conversations of ${requests} requests: ${answers} answers, ${forwarded} forwarded (${sockets} sockets)\n${reasons.join(', ')}`
}

function growth(before: Inside, after: Inside): string {
  return `heap ${mebibytes(before.heap)} to ${mebibytes(after.heap)} MiB, resident ${mebibytes(before.rss)} to ${mebibytes(after.rss)} MiB`
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1)
}
