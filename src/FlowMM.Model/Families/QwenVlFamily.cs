using FlowMM.Model.Configuration;
using FlowMM.Model.Vision;
using FlowMM.Model.Weights;

namespace FlowMM.Model.Families;

/// <summary>Qwen2.5-VL: a tower for pictures of any size, rotary positions in time, rows and columns, a Qwen2 decoder.</summary>
internal sealed class QwenVlFamily : IModelFamily
{
    public IReadOnlyList<string> Types => ["qwen2_5_vl"];

    public PartNames Decoder => PartNames.Prefixed("embed_tokens.weight", "model.language_model.", "model.");

    public PartNames Head => PartNames.Prefixed("weight", "lm_head.");

    private static PartNames Tower => PartNames.Prefixed("patch_embed.proj.weight", "visual.", "model.visual.");

    public FamilyConfig Read(JsonFields root)
    {
        // Published files keep the text's settings at the top level, later ones in a part of their own.
        JsonFields text = root.Find("text_config") ?? root;
        JsonFields vision = root.Find("vision_config") ?? throw root.Wrong("vision_config is missing.");
        DecoderConfig decoder = DecoderConfig.Read(text, root, "qwen2");
        text.Check(decoder.Rope.Sections is not null, "mrope_section is missing.");
        int image = root.Whole("image_token_id", -1);
        root.Check(image >= 0 && image < decoder.Vocabulary, "image_token_id is missing or outside the vocabulary.");
        return new FamilyConfig { Decoder = decoder, Vision = QwenVisionConfig.Read(vision, decoder.Width), ImageTokenId = image };
    }

    public IVisionEncoder LoadVision(Func<PartNames, WeightSource> part, FamilyConfig config) =>
        new QwenTower(part(Tower), (QwenVisionConfig)config.Vision!, config.Decoder.Width);
}
