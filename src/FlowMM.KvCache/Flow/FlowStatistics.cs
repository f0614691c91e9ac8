namespace FlowMM.KvCache;

/// <summary>Cross-modal information flow of one layer's segment (FLOWMM.md section 2).</summary>
/// <param name="RhoRaw">Share of attention that crosses modalities (Eq. 6-7), 0 to 1.</param>
/// <param name="Rho">The same without the sinks.</param>
/// <param name="Chance">rho0: the value of <paramref name="Rho"/> when every row spreads evenly.</param>
public sealed record FlowStatistics(double RhoRaw, double Rho, double Chance)
{
    /// <summary>No flow was measured.</summary>
    public static FlowStatistics None { get; } = new(0, 0, 0);

    /// <summary>lambda = rho / rho0; 0 when chance is 0.</summary>
    public double Lift => Chance > 0 ? Rho / Chance : 0;

    /// <summary>rho0 of a layout: each row behind the sinks spreads evenly over the keys behind the sinks that it sees.</summary>
    /// <param name="positions">Sampled rows.</param>
    /// <param name="modality">[L].</param>
    /// <param name="sinks">Keys left out.</param>
    public static double ChanceOf(ReadOnlySpan<int> positions, ReadOnlySpan<byte> modality, int sinks)
    {
        int[] visual = new int[modality.Length + 1];
        for (int i = 0; i < modality.Length; i++)
        {
            visual[i + 1] = visual[i] + modality[i];
        }

        (double sum, int rows) = (0, 0);
        foreach (int position in positions)
        {
            if (position >= sinks)
            {
                int seen = position + 1 - sinks;
                int pictures = visual[position + 1] - visual[sinks];
                sum += (double)(modality[position] == Modality.Visual ? seen - pictures : pictures) / seen;
                rows++;
            }
        }

        return rows == 0 ? 0 : sum / rows;
    }

    /// <summary>Does the layer merge across modalities?</summary>
    /// <param name="options">Strategy and theta.</param>
    /// <param name="mixed">Both modalities are present; without that a layer is intra-modal whatever the strategy.</param>
    public bool IsInter(MergingPlanOptions options, bool mixed) => mixed && Chance > 0 && options.Strategy switch
    {
        FlowStrategy.Threshold => RhoRaw > options.Theta,
        FlowStrategy.Calibrated => Lift > 1,
        FlowStrategy.Inter => true,
        FlowStrategy.Misaligned => !(RhoRaw > options.Theta),
        FlowStrategy.MisalignedCalibrated => !(Lift > 1),
        _ => false,
    };
}
