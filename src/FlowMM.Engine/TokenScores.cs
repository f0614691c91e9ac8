namespace FlowMM.Engine;

/// <summary>Log-probabilities at one place of an answer, natural logarithms, before penalty, temperature and filters.</summary>
/// <param name="Id">The token that was chosen.</param>
/// <param name="Logprob">Its log-probability.</param>
/// <param name="Top">The most probable tokens, the most probable first; of equal ones the lower id.</param>
public sealed record TokenScores(int Id, double Logprob, IReadOnlyList<(int Id, double Logprob)> Top)
{
    /// <summary>Reads them off the logits.</summary>
    /// <param name="logits">[V] as the model gave them.</param>
    /// <param name="chosen">The token that was chosen.</param>
    /// <param name="top">Tokens to name, at least 0.</param>
    public static TokenScores Of(ReadOnlySpan<float> logits, int chosen, int top)
    {
        float most = float.NegativeInfinity;
        foreach (float logit in logits)
        {
            most = Math.Max(most, logit);
        }

        double sum = 0;
        PriorityQueue<int, (float, int)> best = new();
        for (int i = 0; i < logits.Length; i++)
        {
            sum += Math.Exp(logits[i] - most);
            best.Enqueue(i, (logits[i], -i));
            if (best.Count > top)
            {
                best.Dequeue();
            }
        }

        double all = most + Math.Log(sum);
        List<(int Id, double Logprob)> named = [];
        while (best.TryDequeue(out int id, out _))
        {
            named.Insert(0, (id, logits[id] - all));
        }

        return new TokenScores(chosen, logits[chosen] - all, named);
    }
}
