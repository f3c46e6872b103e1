/** The extension: the timeline on Prompt Edit, players, notes, colours, the blueprint and the example files. */
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { BLUEPRINT_SETTING, publishBlueprint } from './blueprint.js'
import { colourSockets, followTheme } from './colours.js'
import { addDownload } from './downloads.js'
import { takeFiles } from './dropping.js'
import { provideExamples } from './examples.js'
import { allNodes, blueprints, rootOf, sourceOf, widgetOf } from './graph.js'
import { encoderOf, videoLength } from './length.js'
import { clearNotes, drawSign, notesOf, placeSigns, rateNotes, setNotes } from './notes.js'
import { lastShown, scoreTitle } from './playback.js'
import { Player, PLAYER_HEIGHT } from './player.js'
import { forgetHistory, recall } from './recall.js'
import { addControls, changesSeeds } from './seeds.js'
import { scoreStrip } from './strips.js'
import { orderTemplates } from './templates.js'
import { chooseTexts, text } from './texts.js'
import { Timeline, TIMELINE_HEIGHT } from './timeline.js'

const OURS = 'PortraitTalk_'
const PLAYER_WIDTH = 300
const TIMELINE_WIDTH = 420
const LOADER_WIDTH = 270
const TEXT_HEIGHT = 90
const SETTLED_MS = 700
const LOOK_MS = 500

/** For each Prompt Edit, whom to notify how long a motion turned out, and which Encode Audio made its speech. */
const onMotion = new Map()

/** For each node with a player, what shows again what it showed last. */
const onReturn = new Map()

/** Of each Prompt Edit, what looks whether there is something new to draw. */
const onLook = new Set()

/** Return the outermost graph. */
function root() {
  return rootOf(app)
}

/** Call `after` behind a method of an object, whoever else has taken it over. */
function chain(object, name, after) {
  const before = object[name]
  object[name] = function (...given) {
    const result = before?.apply(this, given)
    after.apply(this, given)
    return result
  }
}

/** Return the address of a file of the host; `name` may hold a subfolder and an annotation such as "[output]". */
function fileUrl({ filename, subfolder = '', type = 'input' }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`)
}

function inputUrl(name) {
  const [, path, type] = /^(.*?)(?:\s*\[(input|output|temp)\])?$/s.exec(name)
  const cut = path.lastIndexOf('/')
  return fileUrl({ filename: path.slice(cut + 1), subfolder: path.slice(0, Math.max(0, cut)), type })
}

/** Give a node at least a width, and the height that its widgets need and some more. */
function enlarge(node, width, more = 0) {
  const [least, height] = node.computeSize?.() ?? node.size
  node.setSize([Math.max(node.size[0], least, width), Math.max(node.size[1], height + more)])
}

/** Add a DOM widget that is part of neither the workflow file nor the prompt. */
function addElement(node, name, element, height, most) {
  const options = { serialize: false, hideOnZoom: false, margin: 6, getMinHeight: height, getValue: () => '' }
  const widget = node.addDOMWidget(name, `PORTRAITTALK_${name.toUpperCase()}`, element, {
    ...options,
    ...(most && { getMaxHeight: most }),
    setValue: () => {},
  })
  widget.serialize = false
  element.addEventListener('wheel', (event) => forwardWheel(event), { passive: false })
  return widget
}

/** Say whether nodes are elements of the page, which nothing draws on a canvas. */
function partOfPage() {
  return Boolean(globalThis.LiteGraph?.vueNodesMode)
}

/** Let the wheel zoom the graph over our widgets too; where nodes are part of the page, the page does it. */
function forwardWheel(event) {
  if (partOfPage()) return
  event.preventDefault()
  app.canvas?.processMouseWheel?.(event)
}

function addTimeline(node) {
  const edits = widgetOf(node, 'edits')
  if (!edits) return
  let timeline = null
  const facts = { soundUrl: inputUrl, changed: () => timeline.redraw(), ran: null }
  timeline = new Timeline({
    read: () => String(edits.value ?? ''),
    write: (value) => {
      edits.value = value
      edits.callback?.(value)
      node.graph?.setDirtyCanvas?.(true, true)
    },
    length: () => videoLength(node, { ...facts, root: root() }),
    first: () => String(widgetOf(node, 'prompt')?.value ?? ''),
    notes: () => notesOf(node)[0],
  })
  addElement(node, 'timeline', timeline.element, () => TIMELINE_HEIGHT, () => TIMELINE_HEIGHT)
  const redraw = () => timeline.redraw()
  for (const name of ['edits', 'prompt', 'frame_count', 'fps']) {
    const widget = widgetOf(node, name)
    if (widget) chain(widget, 'callback', redraw)
  }
  // Some frontends report typing through the widget, some only through its text field.
  ;(edits.element ?? edits.inputEl)?.addEventListener?.('input', redraw)
  chain(node, 'onConfigure', () => requestAnimationFrame(redraw))
  chain(node, 'onConnectionsChange', () => requestAnimationFrame(redraw))
  onMotion.set(node, (motion, source) => {
    if (!source || encoderOf(node, root()) !== source) return
    facts.ran = motion
    redraw()
  })
  const look = () => timeline.refresh()
  onLook.add(look)
  chain(node, 'onDrawForeground', look)
  chain(node, 'onRemoved', () => {
    onLook.delete(look)
    onMotion.delete(node)
    timeline.remove()
  })
  enlarge(node, TIMELINE_WIDTH, TEXT_HEIGHT)
}

function addMotionPlayer(node) {
  addPlayer(node, 'portraittalk_motion', new Player(), (output, player) => {
    const { last: motion, images } = lastShown(output, 'portraittalk_motion')
    player.show(motion, images.map(fileUrl))
    for (const notify of onMotion.values()) notify(motion, sourceOf(node, 'speech', root()))
  })
}

function addScorePlayer(node) {
  const kind = { kind: scoreStrip, name: 'score', empty: 'notScored' }
  addPlayer(node, 'portraittalk_score', new Player(kind), (output, player) => {
    const words = { inTime: text('inTime'), lateBy: text('lateBy'), earlyBy: text('earlyBy') }
    const { last: score, images } = lastShown(output, 'portraittalk_score')
    player.show(score, images.map(fileUrl), scoreTitle(score, words))
  })
}

/** Put a player on a node; `show` gives it what a run gave under `key`. What was shown comes back with the node. */
function addPlayer(node, key, player, show) {
  addElement(node, 'player', player.element, () => PLAYER_HEIGHT)
  hideImages(node)
  let last = null
  const take = (output) => {
    if (!output?.[key]?.at(-1)?.frames || output === last) return
    last = output
    show(output, player)
  }
  const again = async () => {
    if (!last) take(await recall(node, key, app, api))
  }
  onReturn.set(node, again)
  chain(node, 'onExecuted', take)
  chain(node, 'onConfigure', () => requestAnimationFrame(again))
  chain(node, 'onRemoved', () => {
    onReturn.delete(node)
    player.remove()
  })
  enlarge(node, PLAYER_WIDTH)
}

/** Keep the frontend from showing the pictures of a motion or a score, which a player shows or nobody. */
function hideImages(node) {
  node.hideOutputImages = true
  node.onDrawBackground = () => {}
}

function addTalkingPortrait(node) {
  hideImages(node)
  addDropping(node)
}

function addDropping(node) {
  takeFiles(node, { app, api, LiteGraph: globalThis.LiteGraph, root, toast: app.extensionManager?.toast })
}

/**
 * Put the date and values of the graph into a file's name, as the frontend does for most of the host's nodes that save:
 * 1.27.10 forgets Save Video, whose help promises it.
 */
function addPlaceholders(node) {
  const widget = widgetOf(node, 'filename_prefix')
  const replace = globalThis.comfyAPI?.utils?.applyTextReplacements
  const done = widget && Object.hasOwn(widget, 'serializeValue') && widget.serializeValue
  if (widget && replace && !done) widget.serializeValue = () => replace(app, String(widget.value))
}

function addLoader(node) {
  addDownload(node, { app, api })
}

/** Show what a node has to say, and a sign on it. */
function addNotes(node) {
  chain(node, 'onExecuted', (output) => {
    // Talking Portrait runs as many nodes, each of which may say something.
    const notes = output?.portraittalk_notes
    if (notes) setNotes(node, [...new Set([...notesOf(node), ...notes])], app.extensionManager?.toast)
  })
  chain(node, 'onDrawForeground', (context) => drawSign(node, context))
}

/** Nodes that are saved smaller than what they show come back large enough. */
function keepSize(node, width) {
  chain(node, 'onConfigure', () => enlarge(node, width))
}

/** Give blueprints of ours the control of their seed and hints, and let them take files. */
function completeBlueprints() {
  const changed = changesSeeds(globalThis.__COMFYUI_FRONTEND_VERSION__)
  if (!changed || !partOfPage()) addControls(root(), changed)
  for (const node of blueprints(root())) {
    addDropping(node)
    sayHints(node)
  }
}

/** Let the empty fields of a blueprint say what those of the nodes inside say. */
function sayHints(node) {
  for (const { name, element } of node.widgets ?? []) {
    const inside = allNodes(node.subgraph).map((each) => widgetOf(each, name)?.element?.placeholder)
    const hint = inside.find((each) => each && each !== name)
    if (element && hint) element.placeholder = hint
  }
}

/** A run has ended: nodes that it found in the cache said nothing. */
function showAgain() {
  forgetHistory()
  onReturn.forEach((again) => again())
}

function addStyle() {
  const link = document.createElement('link')
  link.rel = 'stylesheet'
  link.href = new URL('../css/portraittalk.css', import.meta.url)
  document.head.append(link)
}

async function loadTexts() {
  const language = app.ui?.settings?.getSettingValue?.('Comfy.Locale') || navigator.language
  if (String(language).startsWith('en')) return
  const answer = await api.fetchApi('/i18n')
  if (answer.ok) chooseTexts(await answer.json(), language)
}

/** Do something that may fail without harm to the rest, which then says so in the console. */
async function attempt(what, work) {
  try {
    await work()
  } catch (error) {
    console.warn(`PortraitTalk: ${what}.`, error)
  }
}

/** Nodes of the host to which something is added as well. */
const STOCK = ['CreateVideo', 'SaveVideo']

const ADDERS = {
  PortraitTalk_PromptEdit: [addTimeline, TIMELINE_WIDTH],
  PortraitTalk_SpeechToMotion: [addMotionPlayer, PLAYER_WIDTH],
  PortraitTalk_ADFDScore: [addScorePlayer, PLAYER_WIDTH],
  PortraitTalk_TalkingPortrait: [addTalkingPortrait, 0],
  PortraitTalk_SaveMotion: [addPlaceholders, 0],
  SaveVideo: [addPlaceholders, 0],
  PortraitTalk_Load: [addLoader, LOADER_WIDTH],
  PortraitTalk_LoadAdapters: [addLoader, LOADER_WIDTH],
}

app.registerExtension({
  name: 'PortraitTalk',
  settings: [BLUEPRINT_SETTING],
  async init() {
    addStyle()
    followTheme(document.documentElement)
    orderTemplates(api)
    await attempt('the texts of your language did not load; they stay English', loadTexts)
  },
  async setup() {
    colourSockets(app.canvas, globalThis.LGraphCanvas ?? app.canvas?.constructor)
    setInterval(() => {
      if (!partOfPage()) return // where nodes are drawn, drawing looks
      placeSigns(app.canvas?.graph, document)
      for (const look of onLook) look()
    }, LOOK_MS)
    const begun = new Set()
    api.addEventListener('executing', ({ detail }) => {
      const id = detail?.node ?? detail
      if (!id) return showAgain()
      if (begun.has(id)) return // a node that runs as many begins once
      begun.add(id)
      clearNotes(root(), id)
    })
    api.addEventListener('execution_start', () => {
      begun.clear()
      for (const [node, note] of rateNotes(root())) setNotes(node, [note], app.extensionManager?.toast)
    })
    await attempt('the blueprint could not be published', () => publishBlueprint(app, api))
  },
  async beforeRegisterNodeDef(nodeType, nodeData) {
    if (!STOCK.includes(nodeData.name) && !nodeData.name.startsWith(OURS)) return
    const [add, width] = ADDERS[nodeData.name] ?? []
    chain(nodeType.prototype, 'onNodeCreated', function () {
      add?.(this)
      addNotes(this)
      if (width) keepSize(this, width)
    })
  },
  nodeCreated(node) {
    // Its inputs, which say what it is, come a moment later.
    if (node.subgraph) setTimeout(completeBlueprints, LOOK_MS)
  },
  async afterConfigureGraph() {
    completeBlueprints()
    await attempt('the example files could not be provided', () => provideExamples(root(), api))
    // The frontend gives back what nodes showed a moment after the graph itself.
    setTimeout(() => onReturn.forEach((again) => again()), SETTLED_MS)
  },
})
