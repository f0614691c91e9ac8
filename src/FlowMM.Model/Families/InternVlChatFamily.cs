using FlowMM.Model.Configuration;
using FlowMM.Model.Vision;
using FlowMM.Model.Weights;

namespace FlowMM.Model.Families;

/// <summary>
/// InternVL 2.5 and 3 in OpenGVLab's own layout: the same model as <see cref="InternVlFamily"/> with other names, and q, k, v of the tower in
/// one matrix. Decoders of the types that transformers has itself are read; InternLM2 is not.
/// </summary>
internal sealed class InternVlChatFamily : IModelFamily
{
    public IReadOnlyList<string> Types => ["internvl_chat"];

    public PartNames Decoder => PartNames.Prefixed("embed_tokens.weight", "language_model.model.");

    public PartNames Head => PartNames.Prefixed("weight", "language_model.lm_head.");

    private static PartNames Tower => new("embeddings.cls_token", new PartLayout(
        "vision_model.",
        new Rename("embeddings.cls_token", "embeddings.class_embedding"),
        new Rename("patch_embeddings.projection", "patch_embedding"),
        new Rename("position_embeddings", "position_embedding"),
        new Rename("encoder.layer.", "encoder.layers."),
        new Rename("attention.q_proj", "attn.qkv", 0, 3),
        new Rename("attention.k_proj", "attn.qkv", 1, 3),
        new Rename("attention.v_proj", "attn.qkv", 2, 3),
        new Rename("attention.projection_layer", "attn.proj"),
        new Rename("attention.", "attn."),
        new Rename("layernorm_before", "norm1"),
        new Rename("layernorm_after", "norm2"),
        new Rename("lambda_", "ls")));

    private static PartNames Projector => new("linear_1.weight", new PartLayout(
        "mlp1.", new Rename("layer_norm", "0"), new Rename("linear_1", "1"), new Rename("linear_2", "3")));

    public FamilyConfig Read(JsonFields root)
    {
        JsonFields text = root.Find("llm_config") ?? throw root.Wrong("llm_config is missing.");
        string shuffle = root.Text("ps_version", "v2");
        root.Check(shuffle == "v2", $"ps_version '{shuffle}' is not supported.");
        return new FamilyConfig
        {
            Decoder = TextFamily.ReadDecoder(text, text),
            Vision = InternVitConfig.Read(root, original: true),
            ImageToken = "<IMG_CONTEXT>",
        };
    }

    public IVisionEncoder LoadVision(Func<PartNames, WeightSource> part, FamilyConfig config) => InternVlFamily.Encoder(part(Tower), part(Projector), config);
}
