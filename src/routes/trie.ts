import { fits, meetSegments, segmentText, segmentWithin } from './segment.ts'
import type { Segment } from './segment.ts'
import type { Template } from './template.ts'

interface Branch<T> {
  readonly segment: Segment
  readonly node: Node<T>
}

interface Node<T> {
  readonly literals: Map<string, Node<T>>
  /** The more specific before the less: no branch stands before one that lies within it. */
  readonly patterns: Branch<T>[]
  here: T | undefined
  rest: T | undefined
}

/**
 * Templates by segment. A search costs what the path's own segments cost: literal segments are looked up by hash,
 * and only differently shaped parameters of one place (`{id}`, `{id}.json`) are tried in turn.
 */
export class Trie<T> {
  readonly #root: Node<T> = emptyNode()
  readonly #make: (template: Template) => T

  /** @param make what to keep at a template that is named for the first time */
  constructor(make: (template: Template) => T) {
    this.#make = make
  }

  /** What is kept at this template, or at one that differs in the names of parameters only. */
  at(template: Template): T {
    let node = this.#root
    for (const segment of template.segments) node = child(node, segment)
    const slot = template.rest ? 'rest' : 'here'
    return (node[slot] ??= this.#make(template))
  }

  /**
   * Offers what speaks for the path to `pick`, static before parameter at each segment and `**` last, until `pick`
   * takes one. Of templates of which one lies within the other, the inner comes first.
   * @param path canonical, without query; the same for its trailing-slash twin
   * @param about for `pick`
   */
  find<A, R>(path: string, pick: (value: T, about: A) => R | undefined, about: A): R | undefined {
    return find(this.#root, path, 1, pick, about)
  }

  /** What has a path in common with the template. */
  overlapping(template: Template): T[] {
    const found: T[] = []
    collect(this.#root, template, 0, found)
    return found
  }
}

/** @param from where the next segment begins; none that is not looked at is taken out of the path */
function find<T, A, R>(
  node: Node<T>,
  path: string,
  from: number,
  pick: (value: T, about: A) => R | undefined,
  about: A,
): R | undefined {
  let found: R | undefined
  if (from >= path.length) {
    found = node.here === undefined ? undefined : pick(node.here, about)
  } else if (node.literals.size > 0 || node.patterns.length > 0) {
    const slash = path.indexOf('/', from)
    const to = slash === -1 ? path.length : slash
    const text = path.slice(from, to)
    const literal = node.literals.get(text)
    if (literal !== undefined) found = find(literal, path, to + 1, pick, about)
    for (const branch of node.patterns) {
      if (found !== undefined) return found
      if (fits(text, branch.segment)) found = find(branch.node, path, to + 1, pick, about)
    }
  }
  return found ?? (node.rest === undefined ? undefined : pick(node.rest, about))
}

function collect<T>(node: Node<T>, template: Template, depth: number, found: T[]): void {
  const segment = template.segments[depth]
  if (node.rest !== undefined) found.push(node.rest)
  if (segment === undefined) {
    if (node.here !== undefined) found.push(node.here)
    if (!template.rest) return
  }
  for (const branch of branches(node, segment)) collect(branch.node, template, depth + 1, found)
}

function* branches<T>(node: Node<T>, segment: Segment | undefined): Generator<Branch<T>> {
  if (typeof segment === 'string') {
    const literal = node.literals.get(segment)
    if (literal !== undefined) yield { segment, node: literal }
  } else {
    for (const [text, literal] of node.literals) {
      if (segment === undefined || fits(text, segment)) yield { segment: text, node: literal }
    }
  }
  for (const branch of node.patterns) {
    if (segment === undefined || meetSegments(branch.segment, segment) !== undefined) yield branch
  }
}

function child<T>(node: Node<T>, segment: Segment): Node<T> {
  if (typeof segment === 'string') {
    let next = node.literals.get(segment)
    if (next === undefined) node.literals.set(segment, (next = emptyNode()))
    return next
  }
  const text = segmentText(segment)
  const known = node.patterns.find((branch) => segmentText(branch.segment) === text)
  if (known !== undefined) return known.node
  const wider = node.patterns.findIndex((branch) => segmentWithin(segment, branch.segment))
  const branch = { segment, node: emptyNode<T>() }
  node.patterns.splice(wider === -1 ? node.patterns.length : wider, 0, branch)
  return branch.node
}

function emptyNode<T>(): Node<T> {
  return { literals: new Map(), patterns: [], here: undefined, rest: undefined }
}
