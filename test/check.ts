/**
 * `npm run check`: everything that can be said of the code without running it. A gate that saw no files has checked
 * nothing, whatever its exit code says, and fails.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { checkImports } from './support/imports.ts'

interface Result {
  readonly passed: boolean
  /** How many files the gate looked at. */
  readonly files: number
  /** What to print if it did not pass. */
  readonly output: string
}

interface Tool {
  readonly name: string
  readonly args: readonly string[]
  /** Matches once for every file it saw, or once with their number as its group. */
  readonly seen: RegExp
  /** Lines of its output that only tell what it saw. */
  readonly noise?: RegExp
}

const root = fileURLToPath(new URL('..', import.meta.url))

const TOOLS: readonly Tool[] = [
  {
    name: 'prettier',
    args: ['--check', '--log-level', 'debug', '.'],
    seen: /resolve config from '.*\.ts'$/gm,
    noise: /\[debug\]/,
  },
  {
    name: 'tsc',
    args: ['-p', '.', '--listFiles'],
    seen: /^(?!.*\/node_modules\/)\/.*\.ts$/gm,
    noise: /^\/.*\.ts$/,
  },
  { name: 'oxlint', args: ['--type-aware', '--deny-warnings', '.'], seen: /on (\d+) files/g },
  {
    name: 'knip',
    args: ['--no-progress', '--treat-config-hints-as-errors', '--performance-fn', 'getImportsAndExports'],
    seen: /^getImportsAndExports +(\d+) /gm,
  },
]

const gates = [
  ...TOOLS.map((tool) => ({ name: tool.name, result: runTool(tool) })),
  { name: 'imports', result: Promise.resolve(importRule()) },
]

for (const { name, result } of gates) {
  const { passed, files, output } = await result
  if (passed && files > 0) {
    console.log(`ok      ${name} (${files} files)`)
    continue
  }
  console.log(`FAILED  ${name} (${files === 0 ? 'it saw no files' : `${files} files`})\n${output}`)
  process.exitCode = 1
}

function runTool({ name, args, seen, noise }: Tool): Promise<Result> {
  const program = fileURLToPath(new URL(`../node_modules/.bin/${name}`, import.meta.url))
  return new Promise((resolve) => {
    const options = { cwd: root, maxBuffer: 2 ** 26 }
    execFile(process.execPath, [program, ...args], options, (error, stdout, stderr) => {
      const text = `${stdout}${stderr}`
      const files = [...text.matchAll(seen)].reduce((sum, [, count]) => sum + Number(count ?? 1), 0)
      const output = noise
        ? text.replaceAll(/.*\n/g, (line) => (noise.test(line.trimEnd()) ? '' : line))
        : text
      resolve({ passed: error === null, files, output: output === '' && error ? error.message : output })
    })
  })
}

function importRule(): Result {
  const { files, violations } = checkImports(fileURLToPath(new URL('../src', import.meta.url)))
  const output = violations.map(({ file, line, message }) => `src/${file}:${line}: ${message}`).join('\n')
  return { passed: violations.length === 0, files, output }
}
