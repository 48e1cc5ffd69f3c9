import type { Config } from '../../config/schema.ts'
import { error, fixIn, notice, ok, warning } from '../../profiles/finding.ts'
import type { Check, Observation } from '../../profiles/finding.ts'

export interface Addresses {
  /** Where people reach the backend: Postern must be in the way. */
  readonly publicUrl: string | undefined
  /** Where it must not be reached: Postern would not be in the way. */
  readonly backendUrls: readonly string[]
}

/** Milliseconds. */
const PATIENCE = 5_000

/** Whether Postern stands between people and the backend, as far as that can be seen from here. */
export function reachChecks(config: Config, { publicUrl, backendUrls }: Addresses): Check[] {
  return [
    { id: 'reach.public', look: async () => [await publicly(config, publicUrl)] },
    ...(backendUrls.length === 0 ? [UNTRIED] : []),
    ...backendUrls.map((url) => ({ id: 'reach.backend', look: async () => [await past(url)] })),
  ]
}

const UNTRIED: Check = {
  id: 'reach.backend',
  look: () => [
    notice(
      'whether the backend answers past Postern was not tried',
      fixIn('shell', 'postern doctor --backend-url http://ADDRESS-OF-THIS-MACHINE:8080'),
    ),
  ],
}

/** Who answers at an address. */
type Answering =
  | { readonly kind: 'postern' }
  | { readonly kind: 'other'; readonly status: number }
  | { readonly kind: 'nobody'; readonly why: string }

/** Postern alone knows this path: it refuses with a reason of its own, or says who a visitor is. */
async function whoAnswers(url: string): Promise<Answering> {
  try {
    const signal = AbortSignal.timeout(PATIENCE)
    const answer = await fetch(new URL('/-/postern/me', url), { redirect: 'manual', signal })
    const text = await answer.text()
    const isOurs =
      answer.headers.has('postern-reason') || (answer.status === 200 && text.startsWith('{"mode":'))
    return isOurs ? { kind: 'postern' } : { kind: 'other', status: answer.status }
  } catch (cause) {
    const { message, cause: deeper } = cause instanceof Error ? cause : new Error(String(cause))
    return { kind: 'nobody', why: deeper instanceof Error ? deeper.message : message }
  }
}

async function publicly(config: Config, publicUrl: string | undefined): Promise<Observation> {
  const url = publicUrl ?? config.publicUrl
  if (url === undefined) {
    const lines = fixIn('shell', 'postern doctor --public-url https://romm.example.org')
    return notice('whether people come through Postern was not tried', lines)
  }
  const found = await whoAnswers(url)
  switch (found.kind) {
    case 'postern':
      return ok(`${url} leads through Postern`)
    case 'nobody':
      return warning(`${url} cannot be reached from here: ${found.why}`)
    case 'other':
      // The proxy asks for decisions and keeps the path to itself.
      return config.decision.listen === 'off'
        ? error(`${url} leads past Postern (${found.status})`, fixIn('proxy', TO_POSTERN))
        : notice(`whether the proxy at ${url} asks Postern cannot be seen from here (${found.status})`)
  }
}

const TO_POSTERN = 'reverse_proxy postern:8090   # Caddy; in nginx: proxy_pass http://postern:8090;'

async function past(url: string): Promise<Observation> {
  const found = await whoAnswers(url)
  switch (found.kind) {
    case 'postern':
      return ok(`at ${url} Postern answers`)
    case 'nobody':
      return ok(`at ${url} nobody answers`)
    case 'other':
      return error(
        `at ${url} somebody answers past Postern (${found.status}): publish no port of the backend`,
        fixIn('compose', 'expose: ["8080"]   # instead of ports:, at the service romm'),
      )
  }
}
