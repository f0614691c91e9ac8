using System.Globalization;
using System.Text;

namespace FlowMM.Cli.Eval.MileBench;

/// <summary>
/// The prompt of a sample as MileBench's own dataset class writes it (utils.py, MileBenchDataset): the task's instruction, a line break, the
/// context with its choices. What does not fit is cut off at the context's beginning, in whole stretches between pictures.
/// </summary>
/// <param name="encode">Text to tokens.</param>
/// <param name="decode">Tokens to text.</param>
/// <param name="pictureTokens">Tokens of a picture file.</param>
internal sealed class MileBenchPrompt(Func<string, IReadOnlyList<int>> encode, Func<IReadOnlyList<int>, string> decode, Func<string, int> pictureTokens)
{
    /// <summary>Where a picture goes.</summary>
    public const string Place = "<ImageHere>";

    // More than 26 choices would run out of letters: this task's are not lettered.
    private const string Unlettered = "GPR1200";

    /// <summary>Writes the prompt.</summary>
    /// <param name="task">Name of the task.</param>
    /// <param name="sample">The sample.</param>
    /// <param name="room">Tokens that instruction, context and pictures may take.</param>
    /// <returns>Text with a <see cref="Place"/> for each picture, and the pictures that stayed, in order.</returns>
    /// <exception cref="CommandException">There is no room, or places and pictures do not fit each other.</exception>
    public (string Text, IReadOnlyList<string> Pictures) Write(string task, MileBenchSample sample, int room)
    {
        int left = room - encode(sample.Instruction).Count;
        if (left <= 0)
        {
            throw new CommandException($"{task}, sample {sample.Id}: the instruction alone takes the model's context");
        }

        (List<string> stretches, List<string> pictures, bool opens) = Fit(Context(task, sample).Split(Place), sample, left);
        string text = string.Join(Place, stretches);
        if (sample.Combined)
        {
            return sample.Pictures.Count == 1
                ? ($"{Place}\n{sample.Instruction}\n{text}", sample.Pictures)
                : throw new CommandException($"{task}, sample {sample.Id}: {sample.Pictures.Count} combined pictures; one is expected");
        }

        return stretches.Count - 1 + (opens ? 1 : 0) == pictures.Count
            ? ($"{sample.Instruction}\n{(opens ? Place : "")}{text}", pictures)
            : throw new CommandException($"{task}, sample {sample.Id}: the context has more places than the sample has pictures");
    }

    private static string Context(string task, MileBenchSample sample)
    {
        StringBuilder context = new(sample.Context);
        if (sample.Choices is not null)
        {
            context.Append("\nChoice list: \n").AppendJoin('\n', sample.Choices.Select((c, i) => task == Unlettered ? c : $"{(char)('A' + i)}. {c}")).Append("\nYour answer is: ");
        }

        for (int i = 1; i <= sample.PictureCount; i++)
        {
            string place = sample.Combined ? string.Create(CultureInfo.InvariantCulture, $"<Image {i}> ") : Place;
            context.Replace($"{{image#{i}}}", place).Replace($"{{table#{i}}}", place);
        }

        return context.ToString();
    }

    /// <summary>The last stretches and pictures that fit; the newest stretch is cut when not even it does.</summary>
    private (List<string> Stretches, List<string> Pictures, bool Opens) Fit(string[] stretches, MileBenchSample sample, int left)
    {
        (List<string> kept, List<string> pictures, bool opens) = ([], [], false);
        for (int i = stretches.Length - 1; i >= 0; i--)
        {
            IReadOnlyList<int> ids = encode(stretches[i]);
            if (ids.Count > left)
            {
                kept.InsertRange(0, kept.Count == 0 ? [decode([.. ids.TakeLast(left)])] : []);
                break;
            }

            kept.Insert(0, stretches[i]);
            left -= ids.Count;
            opens = false;
            if (!sample.Combined && pictures.Count < sample.Pictures.Count)
            {
                string picture = sample.Pictures[^(pictures.Count + 1)];
                int tokens = pictureTokens(picture);
                if (tokens > left)
                {
                    break;
                }

                pictures.Insert(0, picture);
                left -= tokens;
                opens = true;
            }
        }

        return (kept, pictures, opens);
    }
}
