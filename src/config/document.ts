import { isOrNumber, KINDS } from './kinds.ts'
import { SCHEMA_ROOT, SECTIONS, isSection, type SchemaNode, type Section, type Setting } from './tree.ts'

type Json = Readonly<Record<string, unknown>>

/** A file in the repository that is written from the schema. */
export interface GeneratedFile {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
}

/** What `postern docs --write` writes of the configuration. */
export function configurationFiles(): readonly GeneratedFile[] {
  return [
    { path: 'docs/configuration.md', text: configurationDocument() },
    { path: 'config/postern.schema.json', text: `${JSON.stringify(publishedSchema(), null, 2)}\n` },
  ]
}

/** JSON Schema (draft 2020-12) of the file as people write it, for editors and for `postern check` elsewhere. */
export function publishedSchema(): Json {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Postern configuration',
    ...published(SCHEMA_ROOT),
    $defs: {
      fromEnvironment: { type: 'string', pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}' },
      fromFile: {
        type: 'object',
        properties: { file: { type: 'string', description: 'Path of a file that holds the secret.' } },
        required: ['file'],
        additionalProperties: false,
      },
    },
  }
}

function published(node: SchemaNode): Json {
  if (!isSection(node)) return publishedSetting(node)
  // Nothing is required of the file: what it lacks, the environment may give.
  const section = { type: 'object', properties: members(node), additionalProperties: false }
  const about = { ...(node.description && { description: node.description }) }
  const member = node.shorthand ? node.properties?.[node.shorthand] : undefined
  return member ? { ...about, anyOf: [section, publishedSetting(member)] } : { ...about, ...section }
}

function members({ properties = {} }: SchemaNode): Json {
  return Object.fromEntries(Object.entries(properties).map(([name, member]) => [name, published(member)]))
}

/** A setting in its written form; whatever its type, its text may come from the environment. */
function publishedSetting(node: SchemaNode): Json {
  const { description, default: fallback } = node
  const about = { ...(description && { description }), ...(fallback !== undefined && { default: fallback }) }
  const forms: Json[] = [writtenForm(node), { $ref: '#/$defs/fromEnvironment' }]
  if (node.kind && isOrNumber(node.kind)) forms.push({ type: 'integer' })
  if (node.secret) forms.push({ $ref: '#/$defs/fromFile' })
  return { ...about, anyOf: forms }
}

function writtenForm(node: SchemaNode): Json {
  const { type } = node
  if (node.enum) return { enum: node.enum }
  if (type === 'string') return { type, ...(node.kind && { pattern: KINDS[node.kind].pattern }) }
  if (type === 'array' && node.items) return { type, items: publishedItem(node.items) }
  if (type === 'object' && node.additionalProperties) {
    return { type, additionalProperties: published(node.additionalProperties) }
  }
  const { minimum, maximum } = node
  return { type, ...(minimum !== undefined && { minimum }), ...(maximum !== undefined && { maximum }) }
}

function publishedItem(item: SchemaNode): Json {
  return isSection(item) ? { ...published(item), required: item.required ?? [] } : published(item)
}

/** `docs/configuration.md`. */
function configurationDocument(): string {
  return `${[PREFACE, ...SECTIONS.filter(({ settings }) => settings.length > 0).map(chapter)].join('\n\n')}\n`
}

const PREFACE = `# Configuration

<!-- Written by \`npm run docs\` from src/config/; edit the schema there, not this file. -->

Every setting can be written in the YAML file, given as an environment variable, or given on the command line as
\`--set name=value\`. The command line comes before the environment, the environment before the file, the file before
RomM's own variables (\`DB_HOST\`, \`ROMM_AUTH_SECRET_KEY\`, \`REDIS_HOST\`, …), and those before the defaults.

- Durations have a unit (\`500ms\`, \`2s\`, \`10m\`, \`1h\`, \`14d\`), sizes too (\`512B\`, \`16KiB\`, \`1MiB\`).
- In a variable, a list is written with commas; a list of objects or a map is written as JSON. An empty variable
  counts as absent.
- Every variable has a twin that ends in \`_FILE\` and names a file to read the value from.
- In the file, \`\${NAME}\` and \`\${NAME:-default}\` stand for an environment variable, \`$\${\` for a plain \`\${\`. A secret may
  also be written as \`{ file: /run/secrets/name }\`.
- Relative paths start from the working directory.
- Unknown settings and unknown \`POSTERN_…\` variables stop the start. Editors know every setting from
  \`config/postern.schema.json\`.`

function chapter({ path, node, settings }: Section): string {
  const title = path === '' ? '## General' : `## ${path}`
  const shorthand = node.shorthand
    ? `\`${path}: …\` with a bare text is short for \`${path}.${node.shorthand}\`.`
    : undefined
  const head = '| setting | variable | type | default | |\n|---|---|---|---|---|'
  const table = [head, ...settings.map(row)].join('\n')
  const lists = settings.filter((setting) => setting.node.items?.properties).map(entries)
  return [title, node.description, shorthand, table, ...lists]
    .filter((part) => part !== undefined)
    .join('\n\n')
}

function row({ path, env, node, optional }: Setting): string {
  return cells([
    `\`${path}\``,
    `\`${env}\``,
    typeWords(node),
    defaultWords(node, optional),
    node.description ?? '',
  ])
}

/** The members of a list's entries, as a table of their own. */
function entries({ path, node }: Setting): string {
  const rows = Object.entries(node.items?.properties ?? {}).map(([name, member]) =>
    cells([`\`${name}\``, typeWords(member), member.description ?? '']),
  )
  return [`Each of \`${path}\` has:\n`, '| member | type | |', '|---|---|---|', ...rows].join('\n')
}

function cells(texts: readonly string[]): string {
  return `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`
}

function typeWords(node: SchemaNode): string {
  if (node.enum) return node.enum.map((word) => `\`${word}\``).join(', ')
  if (node.kind) return kindWords(node)
  if (node.type === 'array')
    return node.items?.kind ? `list: ${KINDS[node.items.kind].expects}` : 'list of objects'
  if (node.type === 'object') return 'map to lists of scopes'
  return node.type === 'integer' ? wholeNumber(node) : '`true` or `false`'
}

function kindWords(node: SchemaNode): string {
  const { kind = 'text', atLeast, atMost } = node
  const bounds = [atLeast && `from ${atLeast}`, atMost && `up to ${atMost}`].filter(Boolean)
  const name = kind === 'duration' || kind === 'size' ? kind : KINDS[kind].expects
  return [name, ...bounds].join(', ')
}

function wholeNumber({ minimum, maximum }: SchemaNode): string {
  return maximum === undefined ? `whole number from ${minimum}` : `whole number, ${minimum} to ${maximum}`
}

function defaultWords({ default: fallback, defaultBy }: SchemaNode, optional: boolean): string {
  if (defaultBy) {
    const cases = Object.entries(defaultBy.values).map(([word, value]) => `\`${String(value)}\` (${word})`)
    return cases.join(', ')
  }
  if (fallback === undefined) return optional ? 'none' : '**must be given**'
  return `\`${typeof fallback === 'string' ? fallback : JSON.stringify(fallback)}\``
}
