/** What the pages say of the project is so: links, anchors, commands, scripts, settings and checks. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { SECTIONS, SETTINGS } from '../src/config/tree.ts'
import { parseDuration } from '../src/config/values.ts'
import { REASONS } from '../src/pipeline/reason.ts'
import { postern } from './cli/processes.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** Where nothing of ours is written by hand. */
const NOT_OURS = /(?:^|[\\/])(?:node_modules|\.git|\.tap|dist|data)(?:[\\/]|$)/
/** What may name a page in a comment or a sentence. */
const MENTIONING =
  /\.(?:ts|md|ya?ml|conf|cfg|Caddyfile|example|sql|service|json)$|(?:^|\/)(?:Dockerfile|Caddyfile)$/

const files = readdirSync(ROOT, { recursive: true, withFileTypes: true })
  .map((entry) => ({ entry, path: relative(ROOT, join(entry.parentPath, entry.name)) }))
  .filter(({ entry, path }) => entry.isFile() && !NOT_OURS.test(path))
  .map(({ path }) => path)
const pages = files.filter((path) => path.endsWith('.md'))

const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const proseOf = (path: string): string => textOf(path).replace(/^ *```[^]*?^ *```$/gm, '')

/** As GitHub makes them of headings. */
function anchorsOf(path: string): string[] {
  return [...proseOf(path).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/** What a link leads to that is not there; undefined when all is well. */
function broken(from: string, link: string): string | undefined {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? from : relative(ROOT, resolve(ROOT, dirname(from), path))
  const isThere = existsSync(join(ROOT, target))
  const isFound = isThere && (anchor === undefined || anchorsOf(target).includes(anchor))
  return isFound ? undefined : `${from}: ${link}`
}

t.test('every link of every page leads somewhere, to its heading too', async (t) => {
  const links = pages.flatMap((page) =>
    [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link = '']) => link)
      .filter((link) => !/^https?:/.test(link))
      .map((link) => ({ page, link })),
  )
  t.ok(links.length > 100, 'it saw links')
  t.same(links.map(({ page, link }) => broken(page, link)).filter(isSaid), [])
})

t.test('every page that a file or a sentence of the program names is there', async (t) => {
  const named = files
    .filter((path) => MENTIONING.test(path) && !path.startsWith('test/'))
    .flatMap((path) =>
      [...textOf(path).matchAll(/(?<![\w/])docs\/[\w/-]+\.md(?:#[\w-]+)?/g)].map(([name]) => ({
        path,
        name,
      })),
    )
  t.ok(named.length > 20, 'it saw names')
  t.same(
    named
      .filter(({ name }) => broken('README.md', name) !== undefined)
      .map(({ path, name }) => `${path}: ${name}`),
    [],
  )
})

t.test('a link that leads nowhere is seen', async (t) => {
  t.equal(broken('README.md', 'docs/nothing.md'), 'README.md: docs/nothing.md')
  t.equal(broken('docs/romm.md', '#nothing'), 'docs/romm.md: #nothing')
  t.equal(broken('docs/apps.md', 'operating.md#block'), undefined)
})

t.test(
  'every command and option is on the page of commands, and no other command is named anywhere',
  async (t) => {
    const { out } = await postern(['--help'])
    const page = textOf('docs/commands.md')
    const commands = new Set([...out.matchAll(/^ {2}postern (\w+)/gm)].map(([, name = '']) => name))
    const options = new Set([...out.matchAll(/--[a-z-]+/g)].map(([option]) => option))
    t.ok(commands.size > 10, 'it saw commands')
    for (const name of commands) t.match(page, new RegExp(`\`${name}\\b`), name)
    for (const option of options)
      t.ok(
        pages.some((path) => textOf(path).includes(option)),
        option,
      )
    const called = pages.flatMap((path) =>
      [
        ...textOf(path).matchAll(
          /(?:`|^\$ |^ {0,3}|exec postern )(?:npm run )?postern (?:-- )?(?!postern )([a-z]+)\b/gm,
        ),
      ].map(([call, name = '']) => ({ path, call, name })),
    )
    t.ok(called.length > 30, 'it saw calls')
    t.same(
      called.filter(({ name }) => !commands.has(name)),
      [],
    )
  },
)

t.test('every script that a page runs is one of package.json', async (t) => {
  const { scripts } = JSON.parse(textOf('package.json')) as {
    readonly scripts: Readonly<Record<string, string>>
  }
  const run = pages.flatMap((page) =>
    [...textOf(page).matchAll(/npm run ([\w-]+)/g)].map(([, name = '']) => ({ page, name })),
  )
  t.same(
    run.filter(({ name }) => scripts[name] === undefined),
    [],
  )
})

t.test('every setting that a page names is one', async (t) => {
  const paths = SETTINGS.map(({ path }) => path)
  const groups = new Set(SECTIONS.map(({ path }) => path))
  const tops = new Set(paths.map((path) => path.split('.')[0]))
  const checks = new Set(checkIds())
  const wrong = pages.flatMap((page) =>
    [...proseOf(page).matchAll(/`([a-z]\w*(?:\.[a-zA-Z]\w*)+)`/g)]
      .map(([, name = '']) => name)
      .filter((name) => tops.has(name.split('.')[0]) && !/\.(?:ts|md|ya?ml|json|sqlite|org)$/.test(name))
      .filter((name) => !paths.includes(name) && !groups.has(name) && !checks.has(name))
      .map((name) => `${page}: ${name}`),
  )
  t.same(wrong, [])
})

t.test('every default that a page gives beside a setting is that one', async (t) => {
  const defaults = new Map(SETTINGS.map(({ path, node }) => [path, String(node.default)]))
  // What was measured with other values stands on its own page.
  const given = pages
    .filter((page) => page !== 'docs/performance.md')
    .flatMap((page) =>
      [...proseOf(page).matchAll(/`((?:[a-z]\w*\.)+\w+)` \((\d[^)]*)\)/g)].map(
        ([, path = '', text = '']) => ({ page, path, text: text.replace(/ min$/, 'm').replaceAll(' ', '') }),
      ),
    )
  t.ok(given.length > 20, 'it saw defaults')
  t.same(
    given.filter(({ path, text }) => !isSame(text, defaults.get(path) ?? '')),
    [],
  )
})

t.test('every check of the doctor is in its table, and no other', async (t) => {
  const [, table = ''] = /^\| id \|.*\n\|.*\n((?:\|.*\n)+)/m.exec(textOf('docs/doctor.md')) ?? []
  const rows = table.split('\n').flatMap((row) => {
    const [, first = ''] = /^\|([^|]*)\|/.exec(row) ?? []
    return [...first.matchAll(/`([\w.]+)`/g)].map(([, id = '']) => id)
  })
  t.same(rows.toSorted(), checkIds())
})

t.test('every metric and every refusal that a page names is one', async (t) => {
  const metrics = new Set([...textOf('docs/metrics.md').matchAll(/^\| `(\w+)`/gm)].map(([, name]) => name))
  const metricsNamed = named(/(?<![/$])\b(postern_[a-z_]+)\b(?!\.)/g)
  const reasonsNamed = named(/`[1-5]\d\d ([a-z_]+)`|[1-5]\d\d `([a-z_]+)`/g)
  t.ok(metricsNamed.length > 30 && reasonsNamed.length > 5, 'it saw names')
  t.same(
    metricsNamed.filter(({ name }) => !metrics.has(name)),
    [],
  )
  t.same(
    reasonsNamed.filter(({ name }) => !Object.hasOwn(REASONS, name)),
    [],
  )

  function named(form: RegExp): { readonly page: string; readonly name: string }[] {
    return pages.flatMap((page) =>
      [...textOf(page).matchAll(form)].map(([, one, other = '']) => ({ page, name: one ?? other })),
    )
  }
})

t.test('README.md is read in one sitting', async (t) => {
  t.ok(textOf('README.md').split('\n').length <= 150)
})

/** As the sources name them: each is looked at in one place. */
function checkIds(): string[] {
  const sources = files.filter((path) => /^src\/(?:gateway\/doctor|profiles|cli\/doctor)/.test(path))
  const ids = sources.flatMap((path) =>
    [...textOf(path).matchAll(/\bid: '([a-zA-Z.]+)'/g)].map(([, id = '']) => id),
  )
  return [...new Set(ids)].toSorted()
}

/** `300s` is `5m`, and 8091 the port of `0.0.0.0:8091`. */
function isSame(text: string, fallback: string): boolean {
  const ms = parseDuration(text)
  return (
    text === fallback || fallback.endsWith(`:${text}`) || (ms !== undefined && ms === parseDuration(fallback))
  )
}

function isSaid(text: string | undefined): text is string {
  return text !== undefined
}
