/** `npm run bench -- [NAME] [options]`: each bench is a file of its own, and says there what it measures. */
const BENCHES = {
  cost: () => import('./cost.ts'),
  streams: () => import('./streams.ts'),
  revocation: () => import('./revocation.ts'),
  queries: () => import('./queries.ts'),
  cache: () => import('./cache.ts'),
  flood: () => import('./flood.ts'),
} as const

type Name = keyof typeof BENCHES

const isName = (text: string): text is Name => Object.hasOwn(BENCHES, text)

const [first = ''] = process.argv.slice(2)
const named = first !== '' && !first.startsWith('-')
const name = named ? first : 'cost'
if (isName(name)) {
  if (named) process.argv.splice(2, 1)
  await BENCHES[name]()
} else {
  console.error(
    `There is no bench ${name}. Usage: npm run bench -- [${Object.keys(BENCHES).join('|')}] [--short]`,
  )
  process.exitCode = 64
}
