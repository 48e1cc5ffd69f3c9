import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { fixture, type Ladder } from '../gateway/support.ts'
import { virtualClock, type VirtualClock } from '../support/clock.ts'
import { freshGateway, type TestGateway } from '../support/gateway.ts'
import { ask, freshStandin, type Answer } from '../support/romm/ask.ts'
import type { Standin } from '../support/romm/standin.ts'

export const HOME = '192.0.2.7'
export const ATTACKER = '198.51.100.9'
export const PASSWORD = passwordOf('vera')
export const PACE = 20_000
export const WINDOW = 900_000

export interface Stage extends TestGateway {
  readonly clock: VirtualClock
  readonly standin: Standin
  /** One request from `address`. */
  readonly from: (
    address: string,
    headers: Record<string, string>,
    path?: string,
    method?: string,
  ) => Promise<Answer>
  /** Statuses of Basic, one after the other. */
  readonly basic: (
    address: string,
    ...pairs: readonly (readonly [name: string, password: string])[]
  ) => Promise<number[]>
}

/** A gateway behind a trusted proxy, with low limits. @param text YAML, before the settings @param before one that is there already */
export async function stage(
  t: Test,
  ladder: Pick<Ladder, 'settings'>,
  settings: Record<string, string> = {},
  text?: string,
  before?: Standin,
): Promise<Stage> {
  const clock = virtualClock(Date.now())
  const standin = before ?? (await freshStandin(t))
  const gateway = await freshGateway(
    t,
    {
      ...ladder.settings,
      'upstream.url': standin.url,
      trustedProxies: '127.0.0.1',
      'attempts.perUserAndAddress': '3',
      'attempts.perAddress': '12',
      ...settings,
    },
    { clock, ...(text !== undefined && { text }) },
  )
  const from: Stage['from'] = (address, headers, path = '/api/roms', method = 'GET') =>
    ask(gateway.port, path, { method, headers: { ...headers, 'x-forwarded-for': address } })
  const basic: Stage['basic'] = async (address, ...pairs) => {
    const seen: number[] = []
    for (const [name, password] of pairs) seen.push((await from(address, basicOf(name, password))).status)
    return seen
  }
  return { ...gateway, clock, standin, from, basic }
}

export function passwordOf(name: string): string {
  return fixture.users.find(({ username }) => username === name)?.password ?? ''
}

export function basicOf(name: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` }
}

export const unknownToken = (): Record<string, string> => ({
  authorization: `Bearer rmm_${randomBytes(32).toString('hex')}`,
})

/** One after the other, so that each knows of those before. */
export async function statuses(count: number, send: () => Promise<Answer>): Promise<number[]> {
  const seen: number[] = []
  for (let i = 0; i < count; i++) seen.push((await send()).status)
  return seen
}

export const times = (count: number, status: number): number[] => Array<number>(count).fill(status)
