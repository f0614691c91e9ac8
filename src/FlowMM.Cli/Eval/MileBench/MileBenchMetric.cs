namespace FlowMM.Cli.Eval.MileBench;

/// <summary>How a task's answers are scored: MileBench's evaluate.py, main. Needles go before the question's type.</summary>
/// <param name="Name">As reports name it.</param>
/// <param name="Score">0 to 1, of an answer to a sample.</param>
internal sealed record MileBenchMetric(string Name, Func<string, MileBenchSample, double> Score)
{
    private const string Accuracy = "accuracy";

    /// <summary>The metric of a task.</summary>
    /// <param name="task">Its name.</param>
    /// <param name="questionType"><c>open-ended</c> or <c>multi-choice</c>.</param>
    /// <exception cref="CommandException">Another type.</exception>
    public static MileBenchMetric Of(string task, string questionType) => questionType switch
    {
        _ when task.Contains("NeedleInAHaystack", StringComparison.Ordinal) => new(Accuracy, Needle),
        _ when task.Contains("MMCoQA", StringComparison.Ordinal) => new(Accuracy, Contained),
        "open-ended" => new("ROUGE-L", Rouge),
        "multi-choice" => new(Accuracy, Choice),
        _ => throw new CommandException($"task {task}: question_type '{questionType}' is neither open-ended nor multi-choice"),
    };

    /// <summary>The right answer is one of the answer's words.</summary>
    private static double Needle(string answer, MileBenchSample sample) =>
        AnswerText.Plain(answer).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Contains(AnswerText.Plain(sample.Response)) ? 1 : 0;

    /// <summary>The right answer is anywhere in the answer.</summary>
    private static double Contained(string answer, MileBenchSample sample) =>
        AnswerText.Plain(answer).Contains(AnswerText.Plain(sample.Response), StringComparison.Ordinal) ? 1 : 0;

    private static double Rouge(string answer, MileBenchSample sample) => RougeL.F(AnswerText.Plain(answer), AnswerText.Plain(sample.Response));

    /// <summary>The choice that the answer names is the right one.</summary>
    /// <exception cref="CommandException">The right answer is none of the choices.</exception>
    private static double Choice(string answer, MileBenchSample sample)
    {
        string[] choices = [.. (sample.Choices ?? []).Select(AnswerText.Plain)];
        int right = Array.IndexOf(choices, AnswerText.Plain(sample.Response));
        return right < 0
            ? throw new CommandException($"sample {sample.Id}: its response is none of its choices")
            : ChoiceAnswer.Of(AnswerText.Plain(answer), choices) == ChoiceAnswer.Letter(right) ? 1 : 0;
    }
}
