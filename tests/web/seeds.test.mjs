import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addControls, changesSeeds, nextSeed } from '../../web/js/seeds.js'

test('frontends from 1.28 on change the seeds of blueprints themselves', () => {
  assert.deepEqual(['1.27.10', '1.28.0', '1.58.1', '2.0.0', undefined].map(changesSeeds), [false, true, true, true, true])
})

test('the next seed is what the control says', () => {
  const after = (control) => nextSeed(5, control, () => 0.5)
  assert.deepEqual(['fixed', 'increment', 'decrement', 'randomize'].map(after), [5, 6, 4, 2 ** 49])
  assert.equal(nextSeed(0, 'decrement'), 0)
})

function blueprint(kind = 'PortraitTalk_AnimateNetSampler', properties = {}) {
  const node = {
    subgraph: { _nodes: [{ type: kind }] },
    properties,
    inputs: [{ name: 'seed', link: null }],
    widgets: [{ name: 'seed', value: 5 }],
    addWidget(type, name, value, callback, options) {
      const widget = { type, name, value, callback, options }
      this.widgets.push(widget)
      return widget
    },
  }
  return { graph: { _nodes: [node] }, node }
}

test('a blueprint of ours gets the control once, and it changes the seed', () => {
  const { graph, node } = blueprint()
  addControls(graph)
  addControls(graph)
  const [seed, control, ...others] = node.widgets
  assert.equal(others.length, 0)
  assert.equal(control.serialize, false)
  control.value = 'increment'
  control.callback('increment')
  control.afterQueued()
  assert.deepEqual([seed.value, node.properties.control_after_generate], [6, 'increment'])
  node.inputs[0].link = 3
  control.afterQueued()
  assert.equal(seed.value, 6, 'a seed that comes over a wire is not ours to change')
})

test('the choice comes back with the node, and other subgraphs are left alone', () => {
  const saved = blueprint(undefined, { control_after_generate: 'randomize' })
  addControls(saved.graph)
  assert.equal(saved.node.widgets[1].value, 'randomize')
  const other = blueprint('KSampler')
  addControls(other.graph)
  assert.equal(other.node.widgets.length, 1)
})

test('where the frontend changes the seed itself, the nodes inside are told how', () => {
  const { graph, node } = blueprint()
  const inside = { name: 'control_after_generate', value: 'increment' }
  node.subgraph._nodes.push({ type: 'PortraitTalk_PromptLook', widgets: [inside] })
  addControls(graph, true)
  const [, control] = node.widgets
  assert.equal(control.value, 'increment', 'what is chosen inside')
  control.callback('randomize')
  assert.equal(inside.value, 'randomize')
  assert.equal(control.afterQueued, undefined)
})
