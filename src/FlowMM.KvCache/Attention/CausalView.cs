namespace FlowMM.KvCache;

/// <summary>Which columns of a block see which keys.</summary>
/// <param name="FirstColumn">[L]: the columns from this one on see the key.</param>
/// <param name="Modality">[L].</param>
/// <param name="Sinks">Keys whose sums are also kept apart.</param>
/// <param name="Beta">[L] log-mass added to the logits.</param>
internal sealed record CausalView(int[] FirstColumn, byte[] Modality, int Sinks, float[] Beta);

/// <summary>Sums of exp(logit - max) of each column, by modality.</summary>
/// <param name="Max">[C] largest visible logit.</param>
/// <param name="Text">[C] over text keys behind the sinks.</param>
/// <param name="Visual">[C] over visual keys behind the sinks.</param>
/// <param name="SinkText">[C] over the text keys among the sinks.</param>
/// <param name="SinkVisual">[C] over the visual keys among the sinks.</param>
internal sealed record CausalMass(float[] Max, float[] Text, float[] Visual, float[] SinkText, float[] SinkVisual)
{
    /// <summary>Sum over all keys that column <paramref name="c"/> sees.</summary>
    internal float Total(int c) => Text[c] + Visual[c] + SinkText[c] + SinkVisual[c];
}
