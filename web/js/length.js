/**
 * How long the video of a Prompt Edit node will be, as far as the graph says before it has run.
 *
 * The nodes get it from Encode Audio, which knows it only when it runs; the browser can ask the recording itself.
 */

const ENCODE = 'PortraitTalk_EncodeAudio'
const MOST_HOPS = 8
const USUAL_FPS = 25
const durations = new Map()

/** Return the widget of a name, or undefined. */
export function widgetOf(node, name) {
  return node.widgets?.find((widget) => widget.name === name)
}

/** Return the node that feeds an input, through reroutes; null where it has its own value. */
export function sourceOf(node, name) {
  let slot = node.inputs?.findIndex((input) => input.name === name) ?? -1
  let source = slot >= 0 ? node.getInputNode?.(slot) : null
  for (let hop = 0; hop < MOST_HOPS && source?.type === 'Reroute'; hop += 1) source = source.getInputNode?.(0)
  return source ?? null
}

function numberOf(node, name) {
  const value = Number(widgetOf(node, name)?.value)
  return Number.isFinite(value) ? value : null
}

/** Return an input's number: its widget's, or that of the widget of that name (or "value") of the node that feeds it. */
function inputNumber(node, name) {
  const source = sourceOf(node, name)
  if (!source) return numberOf(node, name)
  return source.type === ENCODE ? numberOf(source, name) : numberOf(source, 'value')
}

/**
 * Return `{lengthS, fps}` for a Prompt Edit node; `lengthS` is null where nothing says it yet. `soundUrl(name)` gives
 * the address of an input file, `changed` is called when a recording's length has become known, `ran` is what the last
 * run said (`{frames, fps}`) or null.
 */
export function videoLength(node, { soundUrl, changed, ran }) {
  const fps = inputNumber(node, 'fps') || ran?.fps || USUAL_FPS
  const source = sourceOf(node, 'frame_count')
  if (source?.type === ENCODE) {
    const known = encodedLength(source, soundUrl, changed)
    if (known !== null) return { lengthS: known, fps }
  } else {
    const frames = inputNumber(node, 'frame_count')
    if (frames) return { lengthS: frames / fps, fps }
  }
  return ran?.frames ? { lengthS: ran.frames / ran.fps, fps: ran.fps } : { lengthS: null, fps }
}

/** Return the seconds that an Encode Audio node lets through, or null while they are not known. */
function encodedLength(node, soundUrl, changed) {
  const startS = inputNumber(node, 'start_s') ?? 0
  const asked = inputNumber(node, 'duration_s') ?? 0
  const loader = sourceOf(node, 'audio')
  const file = loader && widgetOf(loader, 'audio')?.value
  const whole = typeof file === 'string' ? soundLength(soundUrl(file), changed) : null
  const rest = whole === null ? null : whole - startS
  if (asked > 0) return rest === null || rest <= 0 ? asked : Math.min(asked, rest)
  return rest !== null && rest > 0 ? rest : null
}

/** Return the length of a recording in seconds, null while the browser is still finding out or cannot read it. */
function soundLength(url, changed) {
  if (durations.has(url)) return durations.get(url)
  durations.set(url, null)
  const sound = new Audio()
  sound.preload = 'metadata'
  sound.addEventListener('loadedmetadata', () => {
    durations.set(url, Number.isFinite(sound.duration) ? sound.duration : null)
    sound.removeAttribute('src')
    changed()
  })
  sound.src = url
  return null
}
