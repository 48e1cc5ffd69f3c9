import type { Denial } from '../pipeline/decision.ts'
import type { Permit } from '../pipeline/permit.ts'
import type { RouteRule } from '../pipeline/rule.ts'
import type { GatewayRequest } from '../request/request.ts'

/** What came of a request, for its one line. */
export interface Concluded {
  readonly status: number | undefined
  /** Milliseconds from the first look at the request to the end of its answer. */
  readonly ms: number
  /** `aborted`, `cut`, `failed`: how a forwarded exchange ended, if not with an answer. */
  readonly ended?: string
  readonly cause?: unknown
}

/** The fields of a decision's line: strings, numbers and lists of strings; what is undefined is left out. */
export type DecisionLine = Readonly<Record<string, unknown>>

/**
 * The fields as JSON without its braces. They are written one behind the other, since most of them are known to need no
 * escaping or were written for another request: the general serialiser finds that out anew for each.
 */
export type LineText = string

export function readLine(text: LineText): DecisionLine {
  // It was written below.
  return JSON.parse(`{${text}}`) as DecisionLine
}

export function permittedLine(permit: Permit, concluded: Concluded): LineText {
  const { requestId, rule, principal, observed } = permit
  if (observed !== undefined)
    return denialLine('would_deny', observed, requestId, permit, { cause: observed.cause, ...concluded })
  return lineOf('permit', requestId, permit, { rule, principal, credential: undefined }, concluded)
}

export function deniedLine(
  denial: Denial,
  id: string,
  request: GatewayRequest | undefined,
  concluded: Concluded,
): LineText {
  return denialLine('deny', denial, id, request, { ...concluded, cause: denial.cause })
}

type Asked = Pick<GatewayRequest, 'method' | 'target' | 'client' | 'upgrade'>

function denialLine(
  decision: 'deny' | 'would_deny',
  denial: Denial,
  id: string,
  request: Asked | undefined,
  concluded: Concluded,
): LineText {
  return lineOf(`${decision}","reason":"${denial.reason}`, id, request, denial, concluded)
}

/** What a decision was about; a permit has the first two. */
type About = {
  readonly [Name in 'rule' | 'principal' | 'credential' | 'template' | 'rejection' | 'missing']?:
    Denial[Name] | undefined
}

/** All that a line says, in its order. What comes of closed lists needs no escaping. */
function lineOf(
  decision: string,
  id: string,
  request: Asked | undefined,
  about: About,
  concluded: Concluded,
): LineText {
  const { rejection, missing } = about
  return (
    `"decision":"${decision}","id":${quoted(id)}${requestText(request, about)}${whoText(about)}` +
    (rejection === undefined ? '' : `,"rejection":"${rejection}"`) +
    (missing === undefined ? '' : `,"missing":${JSON.stringify(missing)}`) +
    (request?.upgrade === true ? ',"socket":true' : '') +
    conclusionText(concluded)
  )
}

function requestText(request: Asked | undefined, { rule, template }: About): string {
  const ruleText = rule === undefined ? '' : written(rule).text
  if (request === undefined) return ruleText
  const { method, target, client } = request
  const isHidden = rule === undefined ? namesCode(template) : written(rule).isHidden
  const path = isHidden ? (rule?.template ?? template ?? '') : target.path
  return `,"method":${quoted(method)},"path":${quoted(path)}${ruleText},"client":${quoted(client.address)}`
}

function whoText({ principal, credential }: About): string {
  if (principal === undefined) return credential === undefined ? '' : `,"mode":"${credential.kind}"`
  const { mode, owner, tokenId } = principal
  return (
    `,"mode":"${mode}"` +
    (owner === undefined ? '' : `,"user":${quoted(owner.username)}`) +
    (tokenId === undefined ? '' : `,"token":${quoted(tokenId)}`)
  )
}

function conclusionText({ status, ms, ended, cause }: Concluded): string {
  return (
    (status === undefined ? '' : `,"status":${status}`) +
    `,"ms":${Math.round(ms * 10) / 10}` +
    (ended === undefined ? '' : `,"ended":${quoted(ended)}`) +
    (cause === undefined ? '' : `,"cause":${quoted(messageOf(cause))}`)
  )
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

interface WrittenRule {
  readonly text: string
  /** The path is not told. */
  readonly isHidden: boolean
}

/** Rules are frozen, and few for many requests; those of a route table that was replaced are forgotten with it. */
const writtenRules = new WeakMap<RouteRule, WrittenRule>()

function written(rule: RouteRule): WrittenRule {
  const known = writtenRules.get(rule)
  if (known !== undefined) return known
  const { template } = rule
  const made = { text: `,"rule":${quoted(template)}`, isHidden: namesCode(template) }
  writtenRules.set(rule, made)
  return made
}

/** A pairing code in a path is a credential: such a path is named by its template. */
function namesCode(template: string | undefined): boolean {
  return template !== undefined && /\{\w*code\}/.test(template)
}

// All but what RFC 8259 §7 wants escaped, and halves of surrogate pairs, which UTF-8 has none of.
const PLAIN = /^[ !#-[\]-\ud7ff\ue000-\uffff]*$/

function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text)
}
