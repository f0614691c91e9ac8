using FlowMM.Model.Configuration;
using FlowMM.Model.Vision;
using FlowMM.Model.Weights;

namespace FlowMM.Model.Families;

/// <summary>Text only: Llama 3.x and models of its shape (SmolLM2), Qwen2.5, Qwen3.</summary>
internal sealed class TextFamily : IModelFamily
{
    private static readonly string[] Decoders = ["llama", "qwen2", "qwen3"];

    public IReadOnlyList<string> Types => Decoders;

    public PartNames Decoder => PartNames.Prefixed("embed_tokens.weight", "model.");

    public PartNames Head => PartNames.Prefixed("weight", "lm_head.");

    /// <summary>The decoder of any family whose text part names one of these types.</summary>
    /// <param name="text">The part of config.json that describes it.</param>
    /// <param name="root">The whole of config.json.</param>
    /// <param name="otherwise">Its type when it does not say so.</param>
    /// <exception cref="CheckpointException">A setting is missing, wrong, or asks for what is not supported.</exception>
    public static DecoderConfig ReadDecoder(JsonFields text, JsonFields root, string? otherwise = null)
    {
        string type = text.Text("model_type", otherwise);
        text.Check(Decoders.Contains(type), $"text model_type '{type}' is not supported; supported are {string.Join(", ", Decoders)}.");
        return DecoderConfig.Read(text, root, type);
    }

    public FamilyConfig Read(JsonFields root) => new() { Decoder = ReadDecoder(root.Find("text_config") ?? root, root) };

    public IVisionEncoder LoadVision(Func<PartNames, WeightSource> part, FamilyConfig config) => throw new NotSupportedException("The family reads text only.");
}
