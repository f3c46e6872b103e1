import assert from 'node:assert/strict'
import { test } from 'node:test'
import { COLOURS, colourSockets, isDark } from '../../web/js/colours.js'
import { kindOf } from '../../web/js/dropping.js'
import { allNodes, executionId, hostOf, locatorOf, sourceOf, upstream } from '../../web/js/graph.js'
import { EXAMPLE_S, videoLength } from '../../web/js/length.js'
import { clearNotes, notesOf, rateNotes, setNotes } from '../../web/js/notes.js'
import { inHistory } from '../../web/js/recall.js'

/** Make a graph of nodes `{id, type, inputs: {name: [source, slot] | undefined}, widgets: {name: value}}`. */
function graph(id, nodes) {
  const made = { id, links: {}, _nodes: [] }
  made.getNodeById = (wanted) => made._nodes.find((node) => node.id === wanted)
  for (const { inputs = {}, widgets = {}, ...rest } of nodes) {
    const node = { title: rest.type, graph: made, widgets: [], inputs: [], ...rest }
    node.widgets = Object.entries(widgets).map(([name, value]) => ({ name, value }))
    for (const [name, given] of Object.entries(inputs)) {
      const link = given ? Object.keys(made.links).length + 1 : null
      if (given) made.links[link] = { origin_id: given[0], origin_slot: given[1] }
      node.inputs.push({ name, link, type: name === 'audio' ? 'AUDIO' : '*' })
    }
    made._nodes.push(node)
  }
  return made
}

const ENCODE = 'PortraitTalk_EncodeAudio'
const PROMPT = 'PortraitTalk_PromptEdit'
const node = (of, id) => of.getNodeById(id)

function nested(repeats = 2) {
  const inner = graph('inner', [
    { id: 1, type: ENCODE, inputs: { audio: [-10, 1] }, widgets: { fps: 20, start_s: 1, duration_s: 0 } },
    { id: 2, type: PROMPT, inputs: { speech: [1, 0] }, widgets: { frame_count: 100, fps: 25 } },
  ])
  const root = graph('root', [
    { id: 5, type: 'PortraitTalk_ExampleSpeech', widgets: { repeats } },
    { id: 6, type: 'Reroute', inputs: { '': [5, 0] } },
    { id: 7, type: 'inner', subgraph: inner, inputs: { image: undefined, audio: [6, 0] } },
  ])
  return { root, inner }
}

test('a source is found through reroutes and out of a subgraph', () => {
  const { root, inner } = nested()
  assert.equal(hostOf(inner, root), node(root, 7))
  assert.equal(sourceOf(node(inner, 1), 'audio', root), node(root, 5))
  assert.equal(sourceOf(node(root, 7), 'image', root), null)
  assert.equal(allNodes(root).length, 5)
  assert.equal(upstream(node(inner, 2), 'speech', root, (each) => each.type.endsWith('Speech')), node(root, 5))
})

test('a node is called as the page and as the server call it', () => {
  const { root, inner } = nested()
  assert.deepEqual([locatorOf(node(root, 7), root), executionId(node(root, 7), root)], ['7', '7'])
  assert.deepEqual([locatorOf(node(inner, 2), root), executionId(node(inner, 2), root)], ['inner:2', '7:2'])
})

test('the length of a video is known before a run where the sound says it', () => {
  const { root, inner } = nested()
  const facts = { root, soundUrl: (name) => name, changed: () => {}, ran: null }
  assert.deepEqual(videoLength(node(inner, 2), facts), { lengthS: 2 * EXAMPLE_S - 1, fps: 20 })
  const trimmed = graph('root', [
    { id: 1, type: 'EmptyAudio', widgets: { duration: 9 } },
    { id: 2, type: 'TrimAudioDuration', inputs: { audio: [1, 0] }, widgets: { start_index: -3, duration: 60 } },
    { id: 3, type: ENCODE, inputs: { audio: [2, 0] }, widgets: { fps: 25, start_s: 0, duration_s: 0 } },
    { id: 4, type: PROMPT, inputs: { frame_count: [3, 1], fps: [3, 2] }, widgets: { frame_count: 100, fps: 25 } },
  ])
  assert.equal(videoLength(node(trimmed, 4), { ...facts, root: trimmed }).lengthS, 3)
})

test('where nothing says the length, the last run does', () => {
  const { root, inner } = nested()
  node(root, 5).type = 'SomethingElse'
  const facts = { root, soundUrl: (name) => name, changed: () => {}, ran: null }
  assert.equal(videoLength(node(inner, 2), facts).lengthS, null)
  assert.equal(videoLength(node(inner, 2), { ...facts, ran: { frames: 50, fps: 25 } }).lengthS, 2)
  const alone = graph('root', [{ id: 1, type: PROMPT, widgets: { frame_count: 50, fps: 25 } }])
  assert.equal(videoLength(node(alone, 1), { ...facts, root: alone }).lengthS, 2)
})

test('notes are told once, and go when the node runs again', () => {
  const { root, inner } = nested()
  const said = []
  setNotes(node(inner, 2), ['one'], { add: ({ detail }) => said.push(detail) })
  setNotes(node(inner, 2), ['one', 'two'], { add: ({ detail }) => said.push(detail) })
  assert.deepEqual(said, ['one', 'two'])
  clearNotes(root, '7')
  assert.equal(notesOf(node(inner, 2)).length, 2)
  clearNotes(root, '7:2')
  assert.deepEqual(notesOf(node(inner, 2)), [])
})

test('a frame rate of its own at Create Video is noted', () => {
  const make = (fps, wired) =>
    graph('root', [
      { id: 1, type: ENCODE, widgets: { fps: 25 } },
      { id: 2, type: 'Sampler', inputs: { speech: [1, 0] } },
      { id: 3, type: 'CreateVideo', inputs: { images: [2, 0], fps: wired ? [1, 2] : undefined }, widgets: { fps } },
    ])
  const [[found, note]] = rateNotes(make(30))
  assert.equal(found.id, 3)
  assert.match(note, /fps is 30 here and 25 at Encode Audio/)
  assert.deepEqual(rateNotes(make(25)), [])
  assert.deepEqual(rateNotes(make(30, true)), [])
})

test('what a node showed is taken from the latest run of the same workflow', () => {
  const run = (number, workflow, outputs) => ({
    prompt: [number, 'id', {}, { extra_pnginfo: { workflow: { id: workflow } } }],
    outputs,
  })
  const entries = {
    a: run(1, 'mine', { '7:2': { key: ['old'] } }),
    b: run(2, 'mine', { '7:2': { key: ['new'] } }),
    c: run(3, 'mine', { '7:3': { key: ['other node'] } }),
    d: run(4, 'theirs', { '7:2': { key: ['other workflow'] } }),
  }
  assert.deepEqual(inHistory(entries, '7:2', 'key', 'mine'), { key: ['new'] })
  assert.equal(inHistory(entries, '7:2', 'key', undefined), null)
  assert.equal(inHistory({}, '7:2', 'key', 'mine'), null)
  const none = '00000000-0000-0000-0000-000000000000'
  assert.equal(inHistory({ a: run(1, none, { '7:2': { key: ['anybody'] } }) }, '7:2', 'key', none), null)
})

test('what a run found in the cache is what the same inputs made, in whatever workflow', () => {
  const node = (kind, inputs) => ({ class_type: kind, inputs })
  const run = (number, workflow, prompt, outputs) => ({
    prompt: [number, 'id', prompt, { extra_pnginfo: { workflow: { id: workflow } } }],
    outputs,
  })
  const here = (seed) => ({ 1: node('Sound', { file: 'a.wav' }), 7: node('Move', { seed, sound: ['1', 0] }) })
  const inside = { '9:4': node('Sound', { file: 'a.wav' }), '9:5': node('Move', { sound: ['9:4', 0], seed: 1 }) }
  const first = run(1, 'blueprint', inside, { '9:5': { key: ['shown'] } })
  const older = run(0, 'mine', here(3), { 7: { key: ['older'] } })
  assert.deepEqual(inHistory({ older, first, b: run(2, 'mine', here(1), {}) }, '7', 'key', 'mine'), { key: ['shown'] })
  assert.deepEqual(inHistory({ older, first, b: run(2, 'mine', here(2), {}) }, '7', 'key', 'mine'), { key: ['older'] })
  const changed = { ...inside, '9:4': { ...inside['9:4'], is_changed: ['other'] } }
  const other = run(1, 'blueprint', changed, first.outputs)
  assert.equal(inHistory({ other, b: run(2, 'mine', here(1), {}) }, '7', 'key', 'mine'), null)
})

test('files are for the loader of their kind', () => {
  assert.equal(kindOf('image/jpeg').input, 'image')
  assert.equal(kindOf('audio/wav').loader, 'LoadAudio')
  assert.equal(kindOf('text/plain'), undefined)
})

function contrast(one, other) {
  const light = (colour) => {
    const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255)
    const linear = [r, g, b].map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
  }
  const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b)
  return (bright + 0.05) / (dark + 0.05)
}

test('sockets differ, can be told from nodes in both themes, and survive a theme that does not know them', () => {
  const colours = Object.values(COLOURS)
  assert.equal(new Set(colours).size, colours.length)
  for (const colour of colours) for (const ground of ['#353535', '#FFFFFF']) assert.ok(contrast(colour, ground) >= 3)
  const canvas = { default_connection_color_byType: {} }
  colourSockets(canvas, undefined)
  const map = canvas.default_connection_color_byType
  Object.assign(map, { PORTRAITTALK_STACK: '' })
  assert.equal(map.PORTRAITTALK_STACK, COLOURS.PORTRAITTALK_STACK)
  Object.assign(map, { PORTRAITTALK_STACK: '#123456' })
  assert.equal(map.PORTRAITTALK_STACK, '#123456')
})

test('dark grounds are told from light ones', () => {
  for (const ground of ['#222222', '#2b2f38', '#161b22', '#002b36', '#2e3440']) assert.ok(isDark(ground), ground)
  for (const ground of ['#C9C9C9', '#ffffff']) assert.ok(!isDark(ground), ground)
})

test('what widgets write can be read in the light and in the dark theme', async () => {
  const { readFileSync } = await import('node:fs')
  const css = readFileSync(new URL('../../web/css/portraittalk.css', import.meta.url), 'utf8')
  const [, light] = /\.pt-player \{([^}]*)\}/.exec(css)
  const [, dark] = /\.pt-dark \.pt-player \{([^}]*)\}/.exec(css)
  const names = ['--pt-loudness', '--pt-jaw', '--pt-warning', '--pt-quiet']
  for (const [rules, ground] of [[light, '#C9C9C9'], [dark, '#222222']]) {
    for (const name of names) {
      const [, found] = new RegExp(`${name}: (#[0-9a-f]+);`).exec(rules)
      const full = found.length === 4 ? `#${[...found.slice(1)].map((c) => c + c).join('')}` : found
      assert.ok(contrast(full, ground) >= 4.5, `${name} ${full} on ${ground}: ${contrast(full, ground).toFixed(2)}`)
    }
  }
})
