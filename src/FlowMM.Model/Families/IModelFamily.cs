using FlowMM.Model.Configuration;
using FlowMM.Model.Vision;
using FlowMM.Model.Weights;

namespace FlowMM.Model.Families;

/// <summary>What is a family's own: how its config.json is read, how its tensors are spelt, what its vision tower is. See README.md.</summary>
internal interface IModelFamily
{
    /// <summary>The model_type values that it reads.</summary>
    IReadOnlyList<string> Types { get; }

    /// <summary>Spellings of the decoder's tensors.</summary>
    PartNames Decoder { get; }

    /// <summary>Spellings of the head; not looked for when it is tied to the embedding.</summary>
    PartNames Head { get; }

    /// <exception cref="CheckpointException">A setting is missing, wrong, or asks for what is not supported.</exception>
    FamilyConfig Read(JsonFields root);

    /// <summary>The vision tower and its projector; asked only when the configuration has a vision part.</summary>
    /// <param name="part">Gives the tensors of a part by its spellings.</param>
    /// <param name="config">What <see cref="Read"/> returned.</param>
    IVisionEncoder LoadVision(Func<PartNames, WeightSource> part, FamilyConfig config);
}

/// <summary>What a family makes of config.json.</summary>
internal sealed record FamilyConfig
{
    public required DecoderConfig Decoder { get; init; }

    /// <summary>Null: a text model.</summary>
    public VisionConfig? Vision { get; init; }

    /// <summary>The token whose rows pictures take, where the configuration says it.</summary>
    public int? ImageTokenId { get; init; }

    /// <summary>The same where it only names the token: to be looked up among the added tokens.</summary>
    public string? ImageToken { get; init; }
}
