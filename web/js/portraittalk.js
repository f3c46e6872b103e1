/** The extension: hangs the timeline on Prompt Edit, and players on Speech to Motion and ADFD Score. */
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'
import { sourceOf, videoLength, widgetOf } from './length.js'
import { scoreTitle } from './playback.js'
import { Player } from './player.js'
import { scoreStrip } from './strips.js'
import { chooseTexts, text } from './texts.js'
import { Timeline, TIMELINE_HEIGHT } from './timeline.js'

const PROMPT_EDIT = 'PortraitTalk_PromptEdit'
const SPEECH_TO_MOTION = 'PortraitTalk_SpeechToMotion'
const ADFD_SCORE = 'PortraitTalk_ADFDScore'
const PLAYER_WIDTH = 300
const TIMELINE_WIDTH = 420
const TEXT_HEIGHT = 90

/** For each Prompt Edit, whom to notify how long a motion turned out, and which Encode Audio made its speech. */
const onMotion = new Map()

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

/** Let the wheel zoom the graph over our widgets too; where nodes are part of the page, the page does it. */
function forwardWheel(event) {
  if (globalThis.LiteGraph?.vueNodesMode) return
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
    length: () => videoLength(node, facts),
  })
  addElement(node, 'timeline', timeline.element, () => TIMELINE_HEIGHT, () => TIMELINE_HEIGHT)
  const redraw = () => timeline.redraw()
  for (const name of ['edits', 'frame_count', 'fps']) {
    const widget = widgetOf(node, name)
    if (widget) chain(widget, 'callback', redraw)
  }
  // Some frontends report typing through the widget, some only through its text field.
  ;(edits.element ?? edits.inputEl)?.addEventListener?.('input', redraw)
  chain(node, 'onConfigure', () => requestAnimationFrame(redraw))
  chain(node, 'onConnectionsChange', () => requestAnimationFrame(redraw))
  onMotion.set(node, (motion, source) => {
    if (!source || sourceOf(node, 'frame_count') !== source) return
    facts.ran = motion
    redraw()
  })
  let shown = null
  chain(node, 'onDrawForeground', () => {
    if (shown === edits.value) return
    shown = edits.value
    redraw()
  })
  chain(node, 'onRemoved', () => {
    onMotion.delete(node)
    timeline.remove()
  })
  enlarge(node, TIMELINE_WIDTH, TEXT_HEIGHT)
}

function addMotionPlayer(node) {
  addPlayer(node, new Player(), (output, player) => {
    const motion = output?.portraittalk_motion?.[0]
    if (!motion?.frames) return false
    player.show(motion, (output.images ?? []).map(fileUrl))
    for (const notify of onMotion.values()) notify(motion, sourceOf(node, 'speech'))
    return true
  })
}

function addScorePlayer(node) {
  addPlayer(node, new Player({ kind: scoreStrip, name: 'score', empty: 'notScored' }), (output, player) => {
    const score = output?.portraittalk_score?.[0]
    if (!score?.frames) return false
    const words = { inTime: text('inTime'), lateBy: text('lateBy'), earlyBy: text('earlyBy') }
    player.show(score, (output.images ?? []).map(fileUrl), scoreTitle(score, words))
    return true
  })
}

/** Put a player on a node; `show` gives it what a run gave and says whether there was something. */
function addPlayer(node, player, show) {
  addElement(node, 'player', player.element, () => player.height)
  // The pictures are shown by the player: without these two the frontend would show them all a second time.
  node.hideOutputImages = true
  node.onDrawBackground = () => {}
  const given = (output) => {
    if (show(output, player)) requestAnimationFrame(() => enlarge(node, PLAYER_WIDTH))
  }
  chain(node, 'onExecuted', given)
  chain(node, 'onConfigure', () => given(app.nodeOutputs?.[node.id])) // back from another workflow's tab
  chain(node, 'onRemoved', () => player.remove())
  enlarge(node, PLAYER_WIDTH)
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

app.registerExtension({
  name: 'PortraitTalk',
  async init() {
    addStyle()
    try {
      await loadTexts()
    } catch (error) {
      console.warn('PortraitTalk: the texts of your language did not load; they stay English.', error)
    }
  },
  async beforeRegisterNodeDef(nodeType, nodeData) {
    const adders = {
      [PROMPT_EDIT]: addTimeline,
      [SPEECH_TO_MOTION]: addMotionPlayer,
      [ADFD_SCORE]: addScorePlayer,
    }
    const add = adders[nodeData.name]
    if (add) chain(nodeType.prototype, 'onNodeCreated', function () {
      add(this)
    })
  },
})
