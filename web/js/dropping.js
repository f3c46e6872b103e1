/** Files dropped on Talking Portrait or on the blueprint: each becomes a Load Image or a Load Audio, and the video gets its Save Video. */
import { choose, sourceOf, widgetOf } from './graph.js'

const KINDS = [
  { type: /^image\//, loader: 'LoadImage', input: 'image', row: 0 },
  { type: /^(audio|video)\//, loader: 'LoadAudio', input: 'audio', row: 1 },
]
const ASIDE = 360
const BELOW = 380
const BESIDE = 60
const SHOWN = [400, 520]

/** Return what a dropped file is for: its loader, and the input that takes it; undefined where it is for nothing. */
export function kindOf(type) {
  return KINDS.find((kind) => kind.type.test(type))
}

/** Let a node take files that are dropped on it. `host` is the frontend: `app`, `api`, `LiteGraph`. */
export function takeFiles(node, host) {
  node.onDragOver = (event) => [...(event.dataTransfer?.items ?? [])].some((item) => item.kind === 'file')
  node.onDragDrop = (event) => {
    const files = [...(event.dataTransfer?.files ?? [])].filter((file) => kindOf(file.type))
    for (const file of files) place(node, file, host)
    if (files.length) save(node, host)
    return files.length > 0
  }
}

async function place(node, file, host) {
  const kind = kindOf(file.type)
  const body = new FormData()
  body.append('image', file)
  const answer = await host.api.fetchApi('/upload/image', { method: 'POST', body })
  if (!answer.ok) return host.toast?.add?.({ severity: 'error', summary: file.name, detail: answer.statusText })
  const { name, subfolder } = await answer.json()
  const value = subfolder ? `${subfolder}/${name}` : name
  const loader = loaderOf(node, kind, host)
  choose(loader, widgetOf(loader, kind.input), value)
}

/** Return the loader that feeds the node, or a new one to the left of it. */
function loaderOf(node, kind, host) {
  const there = sourceOf(node, kind.input, host.root())
  if (there?.type === kind.loader) return there
  const loader = host.LiteGraph.createNode(kind.loader)
  loader.pos = [node.pos[0] - ASIDE, node.pos[1] + kind.row * BELOW]
  node.graph.add(loader)
  loader.connect(0, node, node.inputs.findIndex((input) => input.name === kind.input))
  return loader
}

/** Give the video somewhere to go, where it goes nowhere yet: without that there is nothing to run. */
function save(node, host) {
  const slot = node.outputs.findIndex((output) => output.name === 'video')
  if (slot < 0 || node.outputs[slot].links?.length) return
  const saver = host.LiteGraph.createNode('SaveVideo')
  if (!saver) return
  saver.pos = [node.pos[0] + node.size[0] + BESIDE, node.pos[1]]
  saver.setSize(SHOWN) // with the video that it will show
  node.graph.add(saver)
  node.connect(slot, saver, 0)
}
