import { Agent, type IncomingHttpHeaders, request as httpRequest } from 'node:http'
import type { Test } from 'tap'
import { readFixture } from './facts.ts'
import { type Standin, type StandinOptions, startStandin } from './standin.ts'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** One character a byte. */
  readonly text: string
}

export interface Question {
  readonly method?: string
  readonly headers?: Record<string, string | string[]>
  readonly body?: string | Buffer
  /** Instead of the connections that all questions share. */
  readonly agent?: Agent
}

const shared = new Agent({ keepAlive: true, maxSockets: 16 })
const { credentials } = readFixture()

/** Asks 127.0.0.1 with a target that is sent as it stands. Connections are kept while they are of use. */
export async function ask(port: number, path: string, question: Question = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const { method = 'GET', headers = {}, body, agent = shared } = question
  const request = httpRequest({ port, path, method, headers, agent }, (response) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('error', reject)
    response.on('end', () => {
      const { statusCode: status = 0, headers: received } = response
      resolve({ status, headers: received, text: Buffer.concat(chunks).toString('latin1') })
    })
  })
  request.on('error', reject).end(body)
  return promise
}

/** The headers of a credential of the fixture. @throws if there is none of this name */
export function as(name: string): Record<string, string> {
  const credential = credentials[name]
  if (credential === undefined) throw new Error(`the fixture has no credential "${name}"`)
  const { authorization, cookie } = credential
  return { ...(authorization === null ? {} : { authorization }), ...(cookie === null ? {} : { cookie }) }
}

/** A stand-in that ends with the test. */
export async function freshStandin(t: Test, options: StandinOptions = {}): Promise<Standin> {
  const standin = await startStandin(options)
  t.teardown(() => standin.close())
  return standin
}

/** How often RomM was asked about a credential; what it tells a request without any is asked too, now and then. */
export function askedAbout({ requests }: Pick<Standin, 'requests'>): number {
  return requests.filter(
    ({ target, headers }) =>
      target === '/api/users/me' && (headers.cookie ?? headers.authorization) !== undefined,
  ).length
}
