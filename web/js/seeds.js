/**
 * What becomes of the seed of a blueprint after a run. Frontends before 1.28 show the seed of the nodes inside, but
 * not its *control after generate*, and change only the seeds inside, which do not count. Newer ones change the seed of
 * the blueprint as the controls inside say, but show none of these where nodes are drawn on the canvas.
 */
import { allNodes, blueprints, widgetOf } from './graph.js'

const NAME = 'control_after_generate'
const CHOICES = ['fixed', 'increment', 'decrement', 'randomize']
const SINCE = [1, 28]
const LARGEST = 2 ** 50

/** Say whether a frontend of a version changes the seeds of blueprints itself. */
export function changesSeeds(version) {
  if (!version) return true
  const [major, minor] = String(version).split('.').map(Number)
  return !(major < SINCE[0] || (major === SINCE[0] && minor < SINCE[1]))
}

/** Return the seed of the next run. */
export function nextSeed(seed, control, random = Math.random) {
  if (control === 'increment') return Math.min(LARGEST, seed + 1)
  if (control === 'decrement') return Math.max(0, seed - 1)
  return control === 'randomize' ? Math.floor(random() * LARGEST) : seed
}

/**
 * Put the control on the nodes of a graph that are blueprints of ours and lack it. The choice is saved with the node.
 * `changed` says that the frontend changes their seeds itself, as the nodes inside are told to: then these are told.
 */
export function addControls(graph, changed = false) {
  for (const node of blueprints(graph)) {
    const seed = widgetOf(node, 'seed')
    if (!seed || widgetOf(node, NAME)) continue
    node.properties ??= {}
    const inside = changed ? allNodes(node.subgraph).map((each) => widgetOf(each, NAME)).filter(Boolean) : []
    const found = inside[0]?.value ?? node.properties[NAME]
    const keep = (value) => {
      node.properties[NAME] = value
      for (const widget of inside) widget.value = value
    }
    const chosen = CHOICES.includes(found) ? found : 'fixed'
    const control = node.addWidget('combo', NAME, chosen, keep, { values: CHOICES, serialize: false })
    control.label = 'control after generate'
    control.serialize = false
    const change = () => {
      if (node.inputs?.find((input) => input.name === 'seed')?.link != null) return
      seed.value = nextSeed(Number(seed.value), control.value)
      seed.callback?.(seed.value)
    }
    if (!changed) control.afterQueued = change
  }
}
