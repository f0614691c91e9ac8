namespace FlowMM.KvCache;

/// <summary>What a lane of columns adds up for each entry.</summary>
/// <param name="entries">n.</param>
internal sealed class ChangeSums(int entries)
{
    /// <summary>[n] weighted probabilities.</summary>
    internal double[] Share { get; } = new double[entries];

    /// <summary>[n] weighted squared changes of the output.</summary>
    internal double[] Change { get; } = new double[entries];

    /// <summary>Adds lanes up in order.</summary>
    /// <returns>Rank: the root of the changes; weight: half the shares.</returns>
    internal static (double[] Rank, double[] Weight) Fold(int entries, ChangeSums[] lanes)
    {
        (double[] rank, double[] weight) = (new double[entries], new double[entries]);
        foreach (ChangeSums lane in lanes)
        {
            for (int i = 0; i < entries; i++)
            {
                rank[i] += lane.Change[i];
                weight[i] += lane.Share[i];
            }
        }

        for (int i = 0; i < entries; i++)
        {
            (rank[i], weight[i]) = (Math.Sqrt(Math.Max(rank[i], 0)), weight[i] / 2);
        }

        return (rank, weight);
    }
}
