import type { DemoCredentials } from './seed.ts'

export interface DemoInfo extends DemoCredentials {
  /** Origin of the gateway, `http://127.0.0.1:8090`. */
  readonly gateway: string
}

/** Lines to paste into a shell, each below what comes of it. */
export function demoCommands(info: DemoInfo): string[] {
  const { gateway, alicePassword, bobToken } = info
  const bearer = `Authorization: Bearer ${bobToken}`
  const steps = [
    ['200: alice reads the notes with her password', `curl -i -u alice:${alicePassword} ${gateway}/notes`],
    ['200: bob reads them with a token', `curl -i -H '${bearer}' ${gateway}/notes`],
    ['401: without a credential nobody may', `curl -i ${gateway}/notes`],
    ['403: bob may not write', `curl -i -H '${bearer}' -d '{"text":"Hello"}' ${gateway}/notes`],
    ['404: there is no such route', `curl -i -u alice:${alicePassword} ${gateway}/nowhere`],
    [
      'what the backend sees of bob: no token, but a signed assertion',
      `curl -H '${bearer}' ${gateway}/whoami`,
    ],
    [
      'an echo over a WebSocket (from this folder, whose Node can send the header)',
      `npx node -e '${socketScript(gateway, bearer)}'`,
    ],
  ] as const
  return steps.flatMap(([outcome, command]) => [`# ${outcome}`, command, ''])
}

/** curl speaks WebSocket only in its newest versions; Node's own client can send a header. */
function socketScript(gateway: string, authorization: string): string {
  const [name, value] = authorization.split(': ')
  return [
    `const s = new WebSocket("${gateway.replace(/^http/, 'ws')}/echo", { headers: { ${name}: "${value}" } })`,
    's.onopen = () => s.send("hello")',
    's.onmessage = ({ data }) => { console.log(data); s.close() }',
    's.onerror = () => console.error("refused")',
  ].join('; ')
}
