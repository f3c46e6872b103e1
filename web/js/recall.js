/**
 * What a node showed last: on this page, else in the host's history of the same workflow; where that run found the node
 * in the cache, what the node showed that was made of the same inputs, in whatever workflow.
 */
import { executionId, locatorOf, rootOf } from './graph.js'

const ENTRIES = 32
const FRESH_MS = 5000
/** The number of a workflow that has none of its own. */
const NOBODY = '00000000-0000-0000-0000-000000000000'
let asked = null

/** Return what a node showed under a key, or null. `app` and `api` are the frontend's. */
export async function recall(node, key, app, api) {
  const root = rootOf(app)
  const here = app.nodeOutputs?.[locatorOf(node, root)]
  if (here?.[key]) return here
  const entries = await history(api)
  return inHistory(entries, executionId(node, root), key, root?.id)
}

/** Return what a node of a workflow showed under a key in the latest of the host's runs that has it, or null. */
export function inHistory(entries, id, key, workflow) {
  const runs = Object.values(entries ?? {}).sort((one, other) => (other.prompt?.[0] ?? 0) - (one.prompt?.[0] ?? 0))
  if (!workflow || workflow === NOBODY) return null
  const own = runs.filter((run) => run.prompt?.[3]?.extra_pnginfo?.workflow?.id === workflow)
  const latest = own.find((run) => run.prompt[2]?.[id])
  const same = latest && !latest.outputs?.[id]?.[key] && sameInputs(runs, JSON.stringify(made(latest.prompt[2], id)), key)
  if (same) return same
  return own.find((run) => run.outputs?.[id]?.[key])?.outputs[id] ?? null
}

/** Return what a node of the latest of some runs showed under a key, where that is made of given inputs; else null. */
function sameInputs(runs, wanted, key) {
  for (const { prompt, outputs } of runs) {
    for (const [id, output] of Object.entries(outputs ?? {})) {
      if (output?.[key] && prompt?.[2]?.[id] && JSON.stringify(made(prompt[2], id)) === wanted) return output
    }
  }
  return null
}

/** Return what a node is made of, whatever the numbers of the nodes before it. */
function made(prompt, id) {
  const { class_type: kind, inputs, is_changed: changed } = prompt[id]
  const named = Object.entries(inputs ?? {}).sort(([one], [other]) => (one < other ? -1 : 1))
  const from = ([name, value]) => [name, Array.isArray(value) && prompt[value[0]] ? [made(prompt, value[0]), value[1]] : value]
  return [kind, changed ?? null, named.map(from)]
}

/** Ask the host again next time: a run has ended. */
export function forgetHistory() {
  asked = null
}

async function history(api) {
  if (!asked || performance.now() - asked.at > FRESH_MS) {
    const answer = api.fetchApi(`/history?max_items=${ENTRIES}`).then((found) => (found.ok ? found.json() : {}))
    asked = { at: performance.now(), answer: answer.catch(() => ({})) }
  }
  return asked.answer
}
