"""Where the nodes of a workflow stand, how large they are when they have run, and the boxes and note around them."""

from __future__ import annotations

COLUMNS = (
    ("Photograph and recording", ("2", "23", "24", "26", "27", "28", "3", "25")),
    ("Model, person, speech", ("1", "17", "4", "5")),
    ("Prompt and motion", ("6", "7", "29", "32")),
    ("Model that knows the person", ("31", "8", "9", "18", "19", "14")),
    ("Sampling", ("10", "15", "11")),
    ("Talking portrait", ("30", "40")),
    ("Video", ("16", "12", "13", "33")),
    ("Score", ("20", "21", "22")),
)
"""Titles of the boxes, and which nodes stand in each, one under the other, from left to right."""

GREEN = (
    "LoadImage",
    "LoadAudio",
    "LoadVideo",
    "PortraitTalk_LoadRecordings",
    "PortraitTalk_PromptEdit",
    "PortraitTalk_TalkingPortrait",
)
"""Nodes that one is meant to touch; they are coloured."""

SIZES = {
    "LoadImage": (320, 380),
    "LoadAudio": (320, 140),
    "LoadVideo": (320, 420),
    "SaveVideo": (460, 560),
    "PreviewImage": (520, 420),
    "PreviewAny": (420, 200),
    "KSampler": (320, 560),
    "PortraitTalk_AnimateNetSampler": (340, 780),
    "PortraitTalk_TalkingPortrait": (400, 470),
    "PortraitTalk_ADFDScore": (520, 580),
    "subgraph": (400, 620),
}
"""Width and height of what grows when it runs: pictures, videos and live previews come below the widgets."""

GAPS = (70, 70, 30, 60, 24, 48)
"""Pixels between nodes and columns, of a node's title, and between a box and what is in it: above, beside, below.

Nodes that are part of the page are up to 40 pixels higher than those on the canvas, for they have a label below."""

PLACE = """([columns, sizes, green, note, gaps]) => {
  const [nodeGap, columnGap, title, head, edge, foot] = gaps;
  let x = 0;
  for (const [name, ids] of columns) {
    const nodes = ids.map(id => app.graph.getNodeById(Number(id))).filter(Boolean);
    if (!nodes.length) continue;
    let y = 0, widest = 0;
    for (const node of nodes) {
      const asked = sizes[node.subgraph ? "subgraph" : node.type] ?? [0, 0], least = node.computeSize();
      node.setSize([Math.max(node.size[0], least[0], asked[0]), Math.max(node.size[1], least[1], asked[1])]);
      node.pos = [x, y];
      y += node.size[1] + title + nodeGap;
      widest = Math.max(widest, node.size[0]);
      if (green.includes(node.type) || node.subgraph) { node.color = "#232"; node.bgcolor = "#353"; }
    }
    for (const node of nodes) node.setSize([widest, node.size[1]]);
    const group = new LiteGraph.LGraphGroup(name);
    group.pos = [x - edge, -title - head];
    group.size = [widest + 2 * edge, y - nodeGap + head + foot];
    group.color = "#3f789e";
    app.graph.add(group);
    x += widest + 2 * edge + columnGap;
  }
  const said = LiteGraph.createNode("MarkdownNote");
  said.title = "Note";
  said.color = "#432"; said.bgcolor = "#653";
  app.graph.add(said);
  said.widgets[0].value = note;
  const table = note.includes("\\n|"), wide = table ? 640 : 480;
  const lines = note.split("\\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / (wide / 6))), 0);
  said.setSize([wide, Math.max(110, 60 + (table ? 24 : 16) * lines)]);
  said.pos = [-wide - 2 * edge - columnGap, -head];
  app.canvas.setDirty(true, true);
}"""
"""Put nodes, boxes and the note in their places (run in the page)."""

WRAP = """([ids, name]) => {
  const inside = ids.map(id => app.graph.getNodeById(Number(id)));
  const prompt = inside.find(node => node.type === "PortraitTalk_PromptEdit");
  const { subgraph, node } = app.graph.convertToSubgraph(new Set(inside));
  const find = kind => subgraph._nodes.find(each => each.type === kind);
  subgraph.name = node.title = name;
  for (const output of [subgraph.outputs[0], node.outputs[0]]) output.name = output.label = "video";
  const promote = (label, type, ...targets) => {
    const input = subgraph.addInput(label, type);
    for (const [kind, slot] of targets) {
      const target = find(kind);
      input.connect(target.inputs.find(each => each.name === slot), target);
    }
  };
  promote("prompt", "STRING", ["PortraitTalk_PromptEdit", "prompt"]);
  promote("edits", "STRING", ["PortraitTalk_PromptEdit", "edits"]);
  const seeded = ["SpeechToMotion", "PromptLook", "AnimateNetSampler"];
  promote("seed", "INT", ...seeded.map(kind => [`PortraitTalk_${kind}`, "seed"]));
  const pasted = find("PortraitTalk_PasteBack");
  subgraph.addOutput("images", "IMAGE").connect(pasted.outputs[0], pasted);
}"""
"""Make some nodes one, with the inputs and outputs of the blueprint (run in the page)."""

OUTER = ("2", "3", "13")
"""The nodes of the quickstart that stay outside the blueprint."""
