import { REASONS } from '../pipeline/reason.ts'

/** `docs/reasons.md`, from the table. */
export function reasonsFile(): { readonly path: string; readonly text: string } {
  const rows = Object.entries(REASONS).map(
    ([reason, { status, detail, hint = '' }]) => `| \`${reason}\` | ${status} | ${detail} | ${hint} |`,
  )
  const text = [
    '# Reasons',
    '',
    'Why a request was not served: `Postern-Reason` of the answer, `reason` in its body, in the log and in the metrics.',
    'The names are stable; `hint` says what to do, and more where the credential tells more. What an app makes of them: [apps.md](apps.md).',
    'This page is made from the table in `src/pipeline/reason.ts` by `npm run docs`.',
    '',
    '| reason | status | `detail` | `hint` |',
    '|---|---|---|---|',
    ...rows,
    '',
    'A route marked `conceal` answers as `no_route` does, to the byte; the log says `concealed`.',
    'The RomM profile answers `no_credential` and `invalid_credential` with 403 while RomM is 5.1.0 or older, as RomM does.',
    '',
  ].join('\n')
  return { path: 'docs/reasons.md', text }
}
