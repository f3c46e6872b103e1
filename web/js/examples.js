/** The files that our workflows begin with: put among the host's inputs when such a workflow is opened. */
import { allNodes, choose, widgetOf } from './graph.js'

const FOLDER = 'portraittalk'
const INPUTS = {
  LoadImage: 'image',
  LoadAudio: 'audio',
  LoadVideo: 'file',
  PortraitTalk_LoadMotion: 'file',
  PortraitTalk_LoadPhotographs: 'folder',
  PortraitTalk_LoadRecordings: 'folder',
}

/** Ask the server for the example files that a graph names and the host does not list; show them once they are there. */
export async function provideExamples(root, api) {
  const wanted = allNodes(root).flatMap((node) => {
    const widget = INPUTS[node.type] && widgetOf(node, INPUTS[node.type])
    const listed = widget?.options?.values
    const known = typeof listed === 'function' ? listed(widget, node) : listed
    const ours = String(widget?.value ?? '').split('/')[0] === FOLDER
    return ours && !known?.includes?.(widget.value) ? [{ node, widget }] : []
  })
  if (!wanted.length) return
  const answer = await api.fetchApi('/portraittalk/examples', { method: 'POST' })
  if (!answer.ok) throw new Error(`the example files could not be provided: ${answer.status}`)
  for (const { node, widget } of wanted) choose(node, widget, widget.value)
}
